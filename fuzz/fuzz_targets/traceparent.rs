#![no_main]
//! `traceparent`, and how many of it.

use std::str;

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
        let flags = |value: &[u8]| u8::from_str_radix(str::from_utf8(&value[53..55]).unwrap(), 16);
        assert_eq!(flags(sent.as_bytes()), flags(received).map(|flags| flags & 3));
        assert_eq!(sent.as_bytes().len(), 55);
        assert!(sent.as_bytes().starts_with(b"00-"));
    }
});
