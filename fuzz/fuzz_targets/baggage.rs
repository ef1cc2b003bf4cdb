#![no_main]
//! `baggage`, in any number of lines.

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    fuzz::lines(&mut headers, "baggage", input);
    // A percent sign that encodes nothing, or no UTF-8, is longer when it is written: then not all
    // of it may be.
    if input.len() * 3 < 8192 || !input.contains(&b'%') {
        fuzz::round_trip(&["baggage"], &headers);
    }
});
