//! Whether two messages are the same, and if not, what differs.

use std::fmt::Debug;

use prost::Message;

/// How much is shown of what comes before a difference, and after it.
const LINES: usize = 12;

/// Compares what has arrived with what was sent.
pub(crate) fn assert_same<M: Debug + Message + PartialEq>(sent: &M, arrived: &M) {
    let texts = [sent, arrived].map(|message| format!("{message:#?}"));
    let [sent_lines, arrived_lines] = texts.each_ref().map(|text| text.lines().collect::<Vec<_>>());
    // A message as a whole is too long to look for what differs.
    let differ = |at: &usize| sent_lines.get(*at) != arrived_lines.get(*at);
    if let Some(at) = (0..sent_lines.len().max(arrived_lines.len())).find(differ) {
        let around = |lines: &[&str]| {
            let lines = lines.iter().skip(at.saturating_sub(LINES)).take(2 * LINES);
            lines.copied().collect::<Vec<_>>().join("\n")
        };
        panic!("sent:\n{}\n\narrived:\n{}", around(&sent_lines), around(&arrived_lines));
    }
    assert!(sent == arrived, "the messages read the same, and are not");
}
