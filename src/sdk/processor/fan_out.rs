//! One processor for all: each span to each, one deadline for the lot.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    Context,
    trace::{Span as _, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use crate::sdk::{
    error::{Failure, as_result},
    processor::{
        batch::processor::Batch,
        jobs::{Before, Jobs},
        member::{Member, Settings, Stage},
        tail::{TailSamplingCounts, holder::Holder},
        value_length::ValueLength,
    },
};

/// How long a flush may take that the provider is asked for, which has no timeout to give.
const FLUSH: Duration = Duration::from_secs(5);

/// Hands spans on to several processors, in order.
#[derive(Debug)]
pub(crate) struct FanOut {
    jobs: Arc<Jobs<Stage>>,
    /// What stands in front of exporters and console.
    tail: Option<Holder>,
}

impl FanOut {
    pub(crate) fn new(members: Vec<Member>, tail: Option<Holder>) -> Arc<Self> {
        Arc::new(Self { jobs: Jobs::new(members), tail })
    }

    /// What tail sampling has done so far, if there is any.
    pub(crate) fn tail_counts(&self) -> Option<TailSamplingCounts> {
        self.tail.as_ref().map(Holder::counts)
    }

    /// What its processors are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members().map(|member| member.name.as_str())
    }

    /// The same, with the settings of each.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &Settings)> {
        self.members().map(|member| (member.name.as_str(), &member.settings))
    }

    /// Those of its processors that are an exporter with a queue.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.members().filter_map(Member::batch)
    }

    /// Whether one of them is not ours, and may do anything with a span that starts.
    pub(crate) fn has_foreign(&self) -> bool {
        self.members().any(Member::is_foreign)
    }

    /// Has what has ended exported, and says what could not be since the last report.
    pub(crate) fn flush(&self, timeout: Duration) -> Vec<Failure> {
        self.jobs.flush(timeout, timeout, || {
            let released = self.tail.as_ref().map_or_else(Vec::new, Holder::age);
            given_first(released)
        })
    }

    /// Shuts the processors down, and says what did not make it.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Vec<Failure> {
        self.jobs.shutdown(timeout, timeout, || {
            let released = self.tail.as_ref().map_or_else(Vec::new, Holder::close);
            given_first(released)
        })
    }

    /// Whether a shutdown has begun.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.jobs.is_shut_down()
    }

    /// Hands on what tail sampling has kept.
    fn keep(&self, spans: Vec<SpanData>) {
        if !spans.is_empty() {
            let behind = self.members().filter(|member| !member.is_foreign());
            each(behind, spans, Member::keep);
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.jobs.members().iter()
    }
}

/// What tail sampling has released, which all are to have before they do what they are asked.
fn given_first(released: Vec<SpanData>) -> Option<Before<Stage>> {
    if released.is_empty() {
        return None;
    }
    Some(Arc::new(move |member| member.keep(released.clone())))
}

/// The one processor that the provider knows.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) fan_out: Arc<FanOut>,
    /// What all of them see has no text that is longer.
    pub(crate) value_length: Option<ValueLength>,
}

impl SpanProcessor for Handle {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        // First, since a processor may end the span.
        if let Some(tail) = &self.fan_out.tail {
            self.fan_out.keep(tail.start(span.span_context(), cx.span().span_context()));
        }
        for member in self.fan_out.jobs.open() {
            member.start(span, cx);
        }
    }

    fn on_end(&self, mut span: SpanData) {
        if let Some(value_length) = self.value_length {
            value_length.cut(&mut span);
        }
        let Some(tail) = self.fan_out.tail.as_ref().filter(|_| !span.span_context.is_sampled())
        else {
            each(self.fan_out.jobs.open(), span, Member::end);
            return;
        };
        for member in self.fan_out.jobs.open().filter(|member| member.is_foreign()) {
            member.end(span.clone());
        }
        self.fan_out.keep(tail.end(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        as_result(&self.fan_out.flush(FLUSH))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        as_result(&self.fan_out.shutdown(timeout))
    }

    // The members have been told before they were shared.
    fn set_resource(&mut self, _: &Resource) {}
}

/// Gives each the same; the last one needs no copy of it.
fn each<'a, T: Clone>(
    members: impl Iterator<Item = &'a Member>,
    given: T,
    give: impl Fn(&Member, T),
) {
    let mut members = members.peekable();
    while let Some(member) = members.next() {
        if members.peek().is_none() {
            give(member, given);
            return;
        }
        give(member, given.clone());
    }
}
