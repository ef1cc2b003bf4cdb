#![no_main]
//! All formats at once: each line of the input is a header, `name: value`.

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use opentelemetry::{Context, trace::TraceContextExt};
use tower_telemetry::propagation::Propagator;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|&byte| byte == b'\n') {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let name = halves.next().map(HeaderName::from_bytes);
        let value = halves.next().map(HeaderValue::from_bytes);
        if let (Some(Ok(name)), Some(Ok(value))) = (name, value) {
            headers.append(name, value);
        }
    }
    let all = Propagator::named(["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray"]);
    let all = all.expect("the names are known");
    let cx = all.extract(&Context::new(), &headers);
    all.inject(&cx, &mut headers);
    let again = all.extract(&Context::new(), &headers);
    let span = |cx: &Context| cx.span().span_context().clone();
    assert_eq!(span(&again), span(&cx), "{headers:?}");
});
