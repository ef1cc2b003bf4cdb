#![no_main]
//! `baggage`, in any number of lines.

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    fuzz::lines(&mut headers, "baggage", input);
    // What is read may be longer when it is written: then it is not all of it.
    if input.len() * 3 < 8192 {
        fuzz::round_trip(&["baggage"], &headers);
    }
});
