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
    let sent = sent.get("tracestate").map(|sent| sent.to_str().expect("it is text"));
    assert_eq!(sent, expected(&headers).as_deref());
});

/// The list that is to be sent, by the words of the specification.
fn expected(headers: &HeaderMap) -> Option<String> {
    let lines: Vec<_> = headers.get_all("tracestate").iter().map(HeaderValue::as_bytes).collect();
    if lines.iter().map(|line| line.len()).sum::<usize>() > 32 * 1024 {
        return None;
    }
    let list = String::from_utf8(lines.join(&b',')).ok()?;
    let members = list.split(',').map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    if members.is_empty() || members.len() > 32 {
        return None;
    }
    let mut keys = HashSet::new();
    let mut sent = Vec::new();
    for member in members {
        let (key, value) = member.split_once('=')?;
        let is_first = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
        let is_key = key.starts_with(is_first)
            && key.len() <= 256
            && key.chars().all(|char| is_first(char) || "_-*/@".contains(char));
        let is_value = !value.is_empty()
            && value.len() <= 256
            && value.chars().all(|char| (' '..='~').contains(&char) && char != '=');
        if !(is_key && is_value) {
            return None;
        }
        if keys.insert(key) {
            sent.push(member);
        }
    }
    Some(sent.join(","))
}
