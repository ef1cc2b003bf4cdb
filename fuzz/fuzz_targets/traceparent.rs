#![no_main]
//! `traceparent`, and how many of it.

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    fuzz::lines(&mut headers, "traceparent", input);
    let sent = fuzz::round_trip(&["tracecontext"], &headers);
    if let Some(sent) = sent.get("traceparent") {
        // What is sent on is what was received, but for the version and what a later one appends.
        let received = headers["traceparent"].as_bytes().trim_ascii();
        assert_eq!(sent.as_bytes()[3..52], received[3..52]);
        assert_eq!(sent.as_bytes().len(), 55);
        assert!(sent.as_bytes().starts_with(b"00-"));
    }
});
