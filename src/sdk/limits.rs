//! `Limits`: how much a span may hold.

use opentelemetry_sdk::trace::SpanLimits;

use crate::sdk::{env::Env, processor::value_length::ValueLength};

/// What a limit is unless somebody says otherwise.
const DEFAULT: u32 = 128;

/// How much a span may hold. What goes beyond is left out, and counted; a text that is too long is
/// cut.
///
/// What is not set here comes from the [environment](crate::sdk#environment), or else is the
/// [specification's default][defaults]: 128 of everything, and texts of any length.
///
/// ```
/// use tower_telemetry::{Telemetry, sdk::Limits};
///
/// let telemetry = Telemetry::builder()
///     .with_limits(Limits::new().with_attribute_count(64).with_attribute_value_length(4096))
///     .build()?;
/// assert!(telemetry.describe().to_string().contains("64 attributes, 128 events, 128 links"));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// Of the resource nothing is left out or cut: it is [exempt]. Nor is anything of the
/// instrumentation scope, a span's name or its status.
///
/// [defaults]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-limits
/// [exempt]: https://opentelemetry.io/docs/specs/otel/common/#exempt-entities
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    attribute_count: Option<u32>,
    /// Outside: whether it was set. Inside: whether there is one.
    attribute_value_length: Option<Option<u32>>,
    event_count: Option<u32>,
    link_count: Option<u32>,
    attribute_per_event_count: Option<u32>,
    attribute_per_link_count: Option<u32>,
}

impl Limits {
    /// Nothing set: all from the environment, or the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many attributes a span has at most. Default: `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, or
    /// else `OTEL_ATTRIBUTE_COUNT_LIMIT`, or else 128.
    ///
    /// ```
    /// use opentelemetry::{KeyValue, trace::{Span, Tracer, TracerProvider}};
    /// use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor};
    /// use tower_telemetry::{Telemetry, sdk::Limits};
    ///
    /// let exporter = InMemorySpanExporter::default();
    /// let telemetry = Telemetry::builder()
    ///     .with_limits(Limits::new().with_attribute_count(1))
    ///     .with_span_processor(SimpleSpanProcessor::new(exporter.clone()))
    ///     .build()?;
    /// let mut span = telemetry.tracer_provider().tracer("mine").start("span");
    /// span.set_attribute(KeyValue::new("first", 1));
    /// span.set_attribute(KeyValue::new("second", 2));
    /// span.end();
    /// let span = &exporter.get_finished_spans()?[0];
    /// assert_eq!((span.attributes.len(), span.dropped_attributes_count), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_attribute_count(mut self, attributes: u32) -> Self {
        self.attribute_count = Some(attributes);
        self
    }

    /// Sets how long a text is at most that is an attribute's value, or one of an array's, on a
    /// span, an event or a link. What is longer is cut when the span has ended, before anything
    /// exports it; a value that is no text is left as it is. In characters, [each of which counts
    /// as 1][characters] whatever it takes in bytes; none is cut in two. Default:
    /// `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, or else `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`, or
    /// else
    /// [no limit](Self::without_attribute_value_length).
    ///
    /// ```
    /// use opentelemetry::{KeyValue, trace::{Span, Tracer, TracerProvider}};
    /// use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor};
    /// use tower_telemetry::{Telemetry, sdk::Limits};
    ///
    /// let exporter = InMemorySpanExporter::default();
    /// let telemetry = Telemetry::builder()
    ///     .with_limits(Limits::new().with_attribute_value_length(4))
    ///     .with_span_processor(SimpleSpanProcessor::new(exporter.clone()))
    ///     .build()?;
    /// let mut span = telemetry.tracer_provider().tracer("mine").start("span");
    /// span.set_attribute(KeyValue::new("dish", "crème brûlée"));
    /// span.end();
    /// let span = &exporter.get_finished_spans()?[0];
    /// assert_eq!(span.attributes[0], KeyValue::new("dish", "crèm"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [characters]: https://opentelemetry.io/docs/specs/otel/common/#attribute-limits
    pub fn with_attribute_value_length(mut self, characters: u32) -> Self {
        self.attribute_value_length = Some(Some(characters));
        self
    }

    /// Leaves texts as long as they are, whatever the environment says. It is what
    /// [`with_attribute_value_length`](Self::with_attribute_value_length) undoes, and the default
    /// where the environment says nothing.
    pub fn without_attribute_value_length(mut self) -> Self {
        self.attribute_value_length = Some(None);
        self
    }

    /// Sets how many events a span has at most. Default: `OTEL_SPAN_EVENT_COUNT_LIMIT`, or else
    /// 128.
    pub fn with_event_count(mut self, events: u32) -> Self {
        self.event_count = Some(events);
        self
    }

    /// Sets how many links a span has at most. Default: `OTEL_SPAN_LINK_COUNT_LIMIT`, or else 128.
    pub fn with_link_count(mut self, links: u32) -> Self {
        self.link_count = Some(links);
        self
    }

    /// Sets how many attributes each event has at most. Default:
    /// `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, or else 128.
    pub fn with_attribute_per_event_count(mut self, attributes: u32) -> Self {
        self.attribute_per_event_count = Some(attributes);
        self
    }

    /// Sets how many attributes each link has at most. Default: `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`,
    /// or else 128.
    pub fn with_attribute_per_link_count(mut self, attributes: u32) -> Self {
        self.attribute_per_link_count = Some(attributes);
        self
    }

    /// With what the [environment] says where the code says nothing.
    ///
    /// The SDK would read three of the variables by itself, from the process's environment and
    /// without a word on what it cannot read. Two more have no mechanism there.
    ///
    /// [environment]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#span-limits
    pub(crate) fn resolve(self, env: &mut Env) -> ResolvedLimits {
        let mut count = |code: Option<u32>, variable, default| {
            code.or_else(|| limit(env, variable)).unwrap_or(default)
        };
        let attributes = match self.attribute_count {
            Some(attributes) => attributes,
            None => {
                let general = count(None, "OTEL_ATTRIBUTE_COUNT_LIMIT", DEFAULT);
                count(None, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", general)
            }
        };
        let counts = SpanLimits {
            max_attributes_per_span: attributes,
            max_events_per_span: count(self.event_count, "OTEL_SPAN_EVENT_COUNT_LIMIT", DEFAULT),
            max_links_per_span: count(self.link_count, "OTEL_SPAN_LINK_COUNT_LIMIT", DEFAULT),
            max_attributes_per_event: count(
                self.attribute_per_event_count,
                "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
                DEFAULT,
            ),
            max_attributes_per_link: count(
                self.attribute_per_link_count,
                "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
                DEFAULT,
            ),
        };
        let value_length = self.attribute_value_length.unwrap_or_else(|| {
            let general = limit(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
            limit(env, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(general)
        });
        ResolvedLimits { counts, value_length: value_length.map(ValueLength) }
    }
}

/// The limits in force: those that the SDK knows, and the one that it does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedLimits {
    pub(crate) counts: SpanLimits,
    pub(crate) value_length: Option<ValueLength>,
}

pub(crate) fn limit(env: &mut Env, variable: &'static str) -> Option<u32> {
    env.number(variable, "must be a number, 0 or more", |_| true)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    type All = ([u32; 5], Option<u32>);

    /// What is in force, and how many warnings there were.
    fn of(limits: Limits, variables: &[(&str, &str)]) -> (All, usize) {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let mut env = Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>());
        let ResolvedLimits { counts, value_length } = limits.resolve(&mut env);
        let counts = [
            counts.max_attributes_per_span,
            counts.max_events_per_span,
            counts.max_links_per_span,
            counts.max_attributes_per_event,
            counts.max_attributes_per_link,
        ];
        let value_length = value_length.map(|ValueLength(characters)| characters);
        ((counts, value_length), env.into_warnings().len())
    }

    const ALL: [(&str, &str); 8] = [
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "3"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "4"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "5"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "6"),
    ];

    #[test]
    fn each_limit_has_its_variable_and_spans_fall_back_on_the_general_ones() {
        let of = |variables: &[(&str, &str)]| of(Limits::new(), variables);
        assert_eq!(of(&[]), (([128; 5], None), 0));
        assert_eq!(of(&ALL[..1]), (([7, 128, 128, 128, 128], None), 0));
        assert_eq!(of(&ALL[6..7]), (([128; 5], Some(8)), 0));
        assert_eq!(of(&ALL), (([1, 2, 3, 4, 5], Some(6)), 0));
        let values = |value| ALL.map(|(variable, _)| (variable, value));
        assert_eq!(of(&values("-1")), (([128; 5], None), 8));
        assert_eq!(of(&values("0")), (([0; 5], Some(0)), 0));
        // One that cannot be used is as if it were not set.
        let bad = [ALL[0], (ALL[1].0, "few"), ALL[6], (ALL[7].0, "long")];
        assert_eq!(of(&bad), (([7, 128, 128, 128, 128], Some(8)), 2));
    }

    #[test]
    fn what_the_code_says_is_not_asked_of_the_environment() {
        let code = Limits::new()
            .with_attribute_count(10)
            .with_event_count(20)
            .with_link_count(30)
            .with_attribute_per_event_count(40)
            .with_attribute_per_link_count(50)
            .with_attribute_value_length(60);
        let bad = ALL.map(|(variable, _)| (variable, "many"));
        assert_eq!(of(code, &bad), (([10, 20, 30, 40, 50], Some(60)), 0));
        let unlimited = code.without_attribute_value_length();
        assert_eq!(of(unlimited, &ALL), (([10, 20, 30, 40, 50], None), 0));
    }
}
