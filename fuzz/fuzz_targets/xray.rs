#![no_main]
//! X-Ray's header.

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    fuzz::lines(&mut headers, "x-amzn-trace-id", input);
    fuzz::round_trip(&["xray"], &headers);
});
