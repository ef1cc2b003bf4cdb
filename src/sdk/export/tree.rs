//! Traces as trees, in lines of a given width.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue, SpanId, TraceId,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;
use unicode_width::UnicodeWidthStr;

use crate::{sdk::export::item::Items, text::visible};

/// An ended span, and whose it is.
pub(super) struct Span {
    pub(super) service: Arc<str>,
    pub(super) data: SpanData,
}

/// How trees are to look.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// Columns of a line, at most.
    pub(super) width: usize,
    /// Also the attributes that are otherwise left out.
    pub(super) all_attributes: bool,
}

/// Attributes that name or columns tell, or that are much the same for all requests of a service.
const QUIET: [&str; 14] = [
    "client.address",
    "http.request.method",
    "http.route",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.version",
    "rpc.method",
    "rpc.system.name",
    "server.address",
    "server.port",
    "tower_telemetry.time_to_head",
    "url.scheme",
    "url.template",
    "user_agent.original",
];
/// Attributes that come before all others, in this order.
const TELLING: [&str; 6] = [
    "error.type",
    "http.response.status_code",
    "rpc.status_code",
    "url.full",
    "url.path",
    "url.query",
];

/// Kind, duration and status: the columns at the right.
const RIGHT: usize = "  internal  999.99 ms  unset".len();

/// A tree for each trace that `spans` are of, in the order in which its first span is there.
pub(super) fn render(spans: Vec<Span>, look: Look) -> Vec<String> {
    let mut order: HashMap<TraceId, usize> = HashMap::new();
    let mut traces: Vec<Vec<Span>> = Vec::new();
    for span in spans {
        let at = *order.entry(span.data.span_context.trace_id()).or_insert(traces.len());
        if at == traces.len() {
            traces.push(Vec::new());
        }
        traces[at].push(span);
    }
    traces.into_iter().map(|trace| Tree::new(trace, look).render()).collect()
}

struct Tree {
    spans: Vec<Span>,
    /// Who is below whom, each in the order of start.
    children: HashMap<SpanId, Vec<usize>>,
    look: Look,
}

/// A span that waits for its line.
struct Pending {
    span: usize,
    /// What stands before the lines below its parent.
    indent: String,
    last: bool,
}

impl Tree {
    fn new(mut spans: Vec<Span>, look: Look) -> Self {
        spans.sort_by_key(|span| span.data.start_time);
        let mut children: HashMap<SpanId, Vec<usize>> = HashMap::new();
        for (at, span) in spans.iter().enumerate() {
            children.entry(span.data.parent_span_id).or_default().push(at);
        }
        Self { spans, children, look }
    }

    fn render(mut self) -> String {
        let mut text = String::new();
        self.header(&mut text);
        let ids: HashMap<SpanId, usize> =
            self.spans.iter().enumerate().map(|(at, span)| (id(span), at)).collect();
        let roots: Vec<usize> = (0..self.spans.len())
            .filter(|&at| !ids.contains_key(&self.spans[at].data.parent_span_id))
            .collect();
        let mut pending = Vec::new();
        wait(&mut pending, &roots, "");
        let mut shown = vec![false; self.spans.len()];
        loop {
            // Not recursive: how deep a trace goes is not ours to say. Taking the children out of
            // the map makes each appear once, whatever the ids are.
            while let Some(next) = pending.pop() {
                shown[next.span] = true;
                let children = self.children.remove(&id(&self.spans[next.span]));
                let children = children.unwrap_or_default();
                let indent = self.span(&next, !children.is_empty(), &mut text);
                wait(&mut pending, &children, &indent);
            }
            // Spans that are each other's parents are nobody's children.
            let Some(left) = shown.iter().position(|shown| !shown) else {
                break;
            };
            for children in self.children.values_mut() {
                children.retain(|&child| child != left);
            }
            wait(&mut pending, &[left], "");
        }
        text.push('\n');
        text
    }

    fn header(&self, text: &mut String) {
        let start = self.spans.iter().map(|span| span.data.start_time).min();
        let end = self.spans.iter().map(|span| span.data.end_time).max();
        let (Some(start), Some(end), Some(first)) = (start, end, self.spans.first()) else {
            return;
        };
        let spans = Items::Spans.count(u64::try_from(self.spans.len()).unwrap_or(u64::MAX));
        let trace_id = first.data.span_context.trace_id();
        self.line(text, &format!("trace {trace_id}  {spans}  {}", duration(start, end)));
    }

    /// The lines of one span. Gives the indent of what is below it.
    fn span(&self, at: &Pending, has_children: bool, text: &mut String) -> String {
        let Span { service, data } = &self.spans[at.span];
        // Deep down the tree no longer moves to the right, or nothing would be left to read.
        let deep = at.indent.width() >= self.look.width / 3;
        let branch = if at.last { "└ " } else { "├ " };
        let below = match (deep, at.last) {
            (true, _) => at.indent.clone(),
            (false, true) => format!("{}  ", at.indent),
            (false, false) => format!("{}│ ", at.indent),
        };

        let left = format!("{}{branch}{}  {}", at.indent, visible(service), visible(&data.name));
        let columns = self.look.width.saturating_sub(RIGHT);
        let left = fit(&left, columns);
        let padding = columns.saturating_sub(left.width());
        let kind = kind(&data.span_kind);
        let duration = duration(data.start_time, data.end_time);
        let status = status(&data.status);
        let line = format!("{left}{:padding$}  {kind:<8}  {duration:>9}  {status}", "");
        self.line(text, &line);

        let details = format!("{below}{}", if has_children { "│   " } else { "    " });
        self.wrap(text, &details, &attributes(data, self.look.all_attributes));
        for link in data.links.iter() {
            let linked = &link.span_context;
            let mut words = vec![
                format!("→ trace {}", linked.trace_id()),
                format!("span {}", linked.span_id()),
            ];
            words.extend(link.attributes.iter().map(word));
            self.wrap(text, &details, &words);
        }
        for event in data.events.iter() {
            let mut words = vec![format!("* {}", visible(&event.name))];
            words.extend(event.attributes.iter().map(word));
            self.wrap(text, &details, &words);
        }
        below
    }

    /// Words with two spaces between them, on as many lines as they need.
    fn wrap(&self, text: &mut String, indent: &str, words: &[String]) {
        let mut line = String::new();
        for word in words {
            if !line.is_empty()
                && indent.width() + line.width() + 2 + word.width() > self.look.width
            {
                self.line(text, &format!("{indent}{line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(text, &format!("{indent}{line}"));
        }
    }

    fn line(&self, text: &mut String, line: &str) {
        text.push_str(fit(line.trim_end(), self.look.width).as_str());
        text.push('\n');
    }
}

fn id(span: &Span) -> SpanId {
    span.data.span_context.span_id()
}

/// Puts siblings on the stack so that the first is taken first.
fn wait(pending: &mut Vec<Pending>, siblings: &[usize], indent: &str) {
    for (from_last, &span) in siblings.iter().rev().enumerate() {
        pending.push(Pending { span, indent: indent.to_owned(), last: from_last == 0 });
    }
}

/// The attributes worth a look, or all, the most telling first.
fn attributes(data: &SpanData, all: bool) -> Vec<String> {
    let rank = |attribute: &KeyValue| {
        let key = attribute.key.as_str();
        TELLING.iter().position(|&telling| telling == key).unwrap_or(TELLING.len())
    };
    let mut attributes: Vec<&KeyValue> = data
        .attributes
        .iter()
        .filter(|attribute| all || !QUIET.contains(&attribute.key.as_str()))
        .collect();
    attributes.sort_by_key(|attribute| rank(attribute));
    let mut words: Vec<String> = attributes.into_iter().map(word).collect();
    if let Status::Error { description } = &data.status
        && !description.is_empty()
    {
        words.insert(0, format!("status={}", visible(description)));
    }
    words
}

fn word(attribute: &KeyValue) -> String {
    format!("{}={}", visible(attribute.key.as_str()), visible(&attribute.value.as_str()))
}

/// The text, cut to so many columns.
fn fit(text: &str, columns: usize) -> String {
    // Characters without a width would fit without end.
    let most = columns * 4;
    if text.width() <= columns && text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    // The width of a text is not the sum of its characters': some join, some make others wider.
    let ends = text.char_indices().map(|(at, char)| at + char.len_utf8()).take(most);
    let cut = ends.take_while(|&end| text[..end].width() < columns).last().unwrap_or(0);
    format!("{}…", &text[..cut])
}

fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "client",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
        SpanKind::Producer => "producer",
        SpanKind::Server => "server",
    }
}

fn status(status: &Status) -> &'static str {
    match status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error { .. } => "error",
    }
}

fn duration(start: SystemTime, end: SystemTime) -> String {
    let duration = end.duration_since(start).unwrap_or(Duration::ZERO);
    // Rounded before the unit is chosen, so that 999.996 ms is a second.
    let micros = duration.as_micros();
    match (micros, (micros + 5) / 10, (micros + 5_000) / 10_000) {
        (0..1_000, ..) => format!("{micros} µs"),
        (_, hundredths @ 0..100_000, _) => {
            format!("{}.{:02} ms", hundredths / 100, hundredths % 100)
        }
        (.., hundredths @ 0..100_000) => {
            format!("{}.{:02} s", hundredths / 100, hundredths % 100)
        }
        (.., hundredths) => format!("{} s", hundredths / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_and_keep_to_their_column() {
        let since_epoch = |micros| {
            duration(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
        };
        for (micros, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1.00 ms"),
            (12_345, "12.35 ms"),
            (999_994, "999.99 ms"),
            (999_996, "1.00 s"),
            (12_345_678, "12.35 s"),
            (999_994_999, "999.99 s"),
            (1_000_000_000, "1000 s"),
            (86_400_000_000, "86400 s"),
        ] {
            assert_eq!(since_epoch(micros), text);
            assert!(text.width() <= "999.99 ms".len());
        }
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        assert_eq!(duration(later, SystemTime::UNIX_EPOCH), "0 µs");
    }

    #[test]
    fn what_is_cut_keeps_to_the_columns_also_where_characters_join() {
        for text in ["❤\u{fe0f}", "1\u{fe0f}\u{20e3}", "値", "x", "é\u{301}", "\u{200b}", "👨‍👩‍👧"]
        {
            let text = text.repeat(5_000);
            let cut = fit(&text, 40);
            assert!(cut.width() <= 40, "{cut}");
            assert!(cut.chars().count() <= 161, "{cut}");
            assert!(cut.ends_with('…'));
        }
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
    }
}
