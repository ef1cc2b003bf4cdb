#![no_main]
//! B3 in both its encodings: the first line of the input is the single header, then come the others.

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 5] = ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"];

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for (name, line) in NAMES.into_iter().zip(input.split(|&byte| byte == b'\n')) {
        if !line.is_empty() {
            fuzz::lines(&mut headers, name, line);
        }
    }
    for names in [&["b3"][..], &["b3multi"], &["b3", "b3multi"]] {
        fuzz::round_trip(names, &headers);
    }
});
