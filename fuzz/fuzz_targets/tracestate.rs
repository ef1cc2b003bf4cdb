#![no_main]
//! `tracestate`: a list that is sent is the one that was received, without its white space.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(fuzz::PARENT));
    fuzz::lines(&mut headers, "tracestate", input);
    let sent = fuzz::round_trip(&["tracecontext"], &headers);
    assert_eq!(sent["traceparent"], fuzz::PARENT);
    let Some(sent) = sent.get("tracestate") else { return };
    let lines = headers.get_all("tracestate").iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().expect("it was read")).collect();
    let mut keys = HashSet::new();
    let members: Vec<_> = lines
        .iter()
        .flat_map(|line| line.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .filter(|member| keys.insert(member.split('=').next()))
        .collect();
    assert_eq!(sent.to_str().expect("it is text"), members.join(","));
});
