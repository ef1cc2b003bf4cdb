//! W3C Baggage: every entry that may be sent is read, and every text comes back as it was.

use opentelemetry::trace::TraceState;
use opentelemetry::{
    Context, KeyValue,
    baggage::{Baggage as Entries, BaggageExt, KeyValueMetadata},
};
use tower_telemetry::propagation::{Baggage, Propagator};

use crate::support::headers::{baggage, extract, extract_in, inject, local, map};

const W3C: Baggage = Baggage::new();

fn read(list: &str) -> Vec<(String, String, String)> {
    baggage(&extract(W3C, &[("baggage", list)]))
}

fn entry(key: &str, value: &str, properties: &str) -> (String, String, String) {
    (key.into(), value.into(), properties.into())
}

/// What is written for these entries, without the header's name.
fn written(entries: impl Into<Entries>) -> Option<String> {
    let lines = inject(W3C, &Context::new().with_baggage(entries));
    lines.first().map(|line| line.strip_prefix("baggage: ").unwrap().to_owned())
}

#[test]
fn entries_are_read_with_their_values_and_properties() {
    for (list, entries) in [
        ("a=1", vec![entry("a", "1", "")]),
        (
            "userId=alice , server = DF%2028",
            vec![entry("server", "DF 28", ""), entry("userId", "alice", "")],
        ),
        ("a=x=y==z", vec![entry("a", "x=y==z", "")]),
        ("a=", vec![entry("a", "", "")]),
        ("a=50%25", vec![entry("a", "50%", "")]),
        ("a=%C3%A9%20%E2%82%AC", vec![entry("a", "é €", "")]),
        // What is not UTF-8 is replaced, and a percent sign that encodes nothing is one.
        ("a=%FF", vec![entry("a", "\u{fffd}", "")]),
        ("a=5%", vec![entry("a", "5%", "")]),
        ("a=1;k1=v1;k2;k3=v=3", vec![entry("a", "1", "k1=v1;k2;k3=v=3")]),
        ("a=1 ; k1 = v1 ; k2 ", vec![entry("a", "1", "k1=v1;k2")]),
        // The percent signs of a property are its own.
        ("a=1;k=%41", vec![entry("a", "1", "k=%41")]),
        ("a=1;bad key;k2;=v;k=\"", vec![entry("a", "1", "k2")]),
        ("!#$%&'*+-.^_`|~=1", vec![entry("!#$%&'*+-.^_`|~", "1", "")]),
        // A key is not encoded.
        ("%41=1", vec![entry("%41", "1", "")]),
        // The last one counts.
        ("a=1,a=2", vec![entry("a", "2", "")]),
        // What breaks the format is left out, and nothing else is.
        ("=1,a b=2,c,d=\"3\",e=f g,h=\\,i=\u{e9},,ok=1", vec![entry("ok", "1", "")]),
    ] {
        assert_eq!(read(list), entries, "{list}");
    }
}

#[test]
fn several_lines_are_one_list() {
    let cx = extract(
        W3C,
        &[("baggage", "a=1"), ("baggage", "b=2,c=3"), ("baggage", ""), ("Baggage", "d=4")],
    );
    assert_eq!(baggage(&cx).len(), 4);
}

#[test]
fn garbage_leaves_what_is_there_as_it_was() {
    let cx = Context::new().with_baggage([KeyValue::new("mine", "1")]);
    for list in ["", ",", "garbage", "a b=1", "=", "\u{e9}=1", ";;;"] {
        let lines = [("baggage", list)];
        assert_eq!(baggage(&extract_in(W3C, &cx, &lines)), [entry("mine", "1", "")], "{list}");
    }
    assert_eq!(baggage(&extract_in(W3C, &cx, &[])), [entry("mine", "1", "")]);
    assert_eq!(baggage(&extract_in(W3C, &cx, &[("baggage", "a=1")])), [entry("a", "1", "")]);
}

#[test]
fn entries_are_written_in_the_order_of_their_keys() {
    let entries = [
        KeyValueMetadata::new("b", "2", "ttl=5;secure"),
        KeyValueMetadata::new("a", "1", ""),
        KeyValueMetadata::new("c", "a,b;c=d \"e\" \\ 50% + é", ""),
    ];
    assert_eq!(
        written(entries).unwrap(),
        "a=1,b=2;ttl=5;secure,c=a%2Cb%3Bc=d%20%22e%22%20%5C%2050%25%20+%20%C3%A9"
    );
    assert_eq!(written(Entries::new()), None);
    // Of properties what could be one.
    let entries = [KeyValueMetadata::new("a", "1", "k=a b, é ;bad key;ok")];
    assert_eq!(written(entries).unwrap(), "a=1;k=a%20b%2C%20%C3%A9;ok");
}

#[test]
fn sixty_four_entries_and_8192_bytes_go_through() {
    let list = (0..64).map(|at| format!("key{at:02}=value{at}")).collect::<Vec<_>>().join(",");
    assert_eq!(
        written(extract(W3C, &[("baggage", &list)]).baggage().clone_entries()).unwrap(),
        list
    );

    let longest = format!("a={},b={}", "x".repeat(4000), "y".repeat(8192 - 4000 - 5));
    assert_eq!(longest.len(), 8192);
    assert_eq!(
        written(extract(W3C, &[("baggage", &longest)]).baggage().clone_entries()).unwrap(),
        longest
    );
    // Also as two lines, which have a comma between them.
    let (first, second) = longest.split_once(',').unwrap();
    assert_eq!(baggage(&extract(W3C, &[("baggage", first), ("baggage", second)])).len(), 2);
}

#[test]
fn what_was_received_within_the_limit_is_sent_on() {
    for list in [
        format!("a={},b=2", "+".repeat(3000)),
        format!("a={}", "%C3%A9".repeat(1365)),
        format!("a={}", "!#$&'()*+-./:<=>?@[]^_`{|}~".repeat(300)),
        format!("a=1;{}", "k=%;".repeat(2000).trim_end_matches(';')),
    ] {
        assert!(list.len() <= 8192);
        let entries = extract(W3C, &[("baggage", &list)]).baggage().clone_entries();
        assert_eq!(written(entries).unwrap(), list, "{list:.20}");
    }
}

#[test]
fn what_does_not_fit_is_left_out_whole() {
    let too_long = format!("a=1,b={},c=3", "x".repeat(8192));
    assert_eq!(read(&too_long), [entry("a", "1", "")]);
    let many = (0..200).map(|at| format!("k{at:03}=v")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&many).len(), 64);

    // Encoded it is three times as long.
    let entries = [KeyValue::new("a", "€".repeat(1000)), KeyValue::new("b", "2")];
    assert_eq!(written(entries).unwrap(), "b=2");

    // And what a stranger has written there does not stand for it.
    let entries = [KeyValue::new("a", "€".repeat(1000))];
    let cx = local(1, TraceState::NONE).with_baggage(entries);
    let mut headers = map(&[("baggage", "stranger=1")]);
    Propagator::new(W3C).inject(&cx, &mut headers);
    assert!(headers.is_empty());
}

#[test]
fn the_limit_counts_the_bytes_of_all_lines() {
    let member = format!("a={}", "x".repeat(4093));
    let last = |length: usize| format!("b={}", "y".repeat(length));
    for (lines, keys) in [
        // 4095 bytes, a comma, 4096 bytes.
        (vec![member.clone(), last(4094)], 2),
        (vec![member.clone(), last(4095)], 1),
        (vec![format!("{member},{}", last(4094))], 2),
        (vec![format!("{member},{}", last(4095))], 1),
        // What is behind the limit does not spoil what is before it.
        (vec![format!("{member},{},c=3", last(4094))], 2),
        (vec![member.clone(), last(4094), "c=3".to_owned()], 2),
        (vec![String::new(); 8191].into_iter().chain(["a=".to_owned()]).collect(), 0),
        (vec![String::new(); 8190].into_iter().chain(["a=".to_owned()]).collect(), 1),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("baggage", line.as_str())).collect();
        assert_eq!(baggage(&extract(W3C, &lines)).len(), keys, "{} lines", lines.len());
    }
}

#[test]
fn a_flood_is_read_no_further_than_the_limit() {
    for list in [
        "a=1,".repeat(20_000),
        ",".repeat(65_536),
        "%".repeat(65_536),
        format!("a={}", "%00".repeat(30_000)),
    ] {
        assert!(read(&list).len() <= 1, "{list:.20}");
    }
    let headers = map(&[("baggage", b"a=1,b=\xff\xfe,c=3")]);
    let cx = Propagator::new(W3C).extract(&Context::new(), &headers);
    assert_eq!(baggage(&cx), [entry("a", "1", ""), entry("c", "3", "")]);
}

#[test]
fn without_baggage_a_line_stays_until_a_span_speaks_for_the_request() {
    let propagator = Propagator::new(W3C);
    let mut headers = map(&[("baggage", "by=hand")]);
    propagator.inject(&Context::new(), &mut headers);
    assert_eq!(headers["baggage"], "by=hand");
    propagator.inject(&local(1, TraceState::NONE), &mut headers);
    assert!(headers.is_empty());
}

/// `Baggage` is no `Clone`.
trait CloneEntries {
    fn clone_entries(&self) -> Vec<KeyValueMetadata>;
}

impl CloneEntries for Entries {
    fn clone_entries(&self) -> Vec<KeyValueMetadata> {
        self.iter()
            .map(|(key, (value, metadata))| {
                KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
            })
            .collect()
    }
}
