#![no_main]
//! Jaeger: the first line of the input is the span, then comes baggage.

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["uber-trace-id", "uberctx-a", "uberctx-b", "uberctx-a"];

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for (name, line) in NAMES.into_iter().zip(input.split(|&byte| byte == b'\n')) {
        fuzz::lines(&mut headers, name, line);
    }
    // What is not encoded, or no UTF-8, is longer when it is written: then not all of it may be.
    if input.len() * 9 < 8192 {
        fuzz::round_trip(&["jaeger"], &headers);
    }
});
