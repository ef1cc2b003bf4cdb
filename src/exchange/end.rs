//! The end: what is known of it, and what becomes of that on the span.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use opentelemetry::KeyValue;

use crate::exchange::{
    outcome::{Outcome, Side},
    told::{Facts, Route},
};

/// What is known of an exchange that has ended.
pub(crate) struct End<'a> {
    /// Whether the span's name was given by somebody, and so stays.
    pub(crate) named: bool,
    pub(crate) side: Side,
    pub(crate) outcome: Outcome,
    /// What a classifier says.
    pub(crate) failed: Option<bool>,
    pub(crate) status_code: Option<StatusCode>,
    pub(crate) duration: Duration,
    pub(crate) facts: Option<&'a Facts>,
    pub(crate) request_size: Option<u64>,
    pub(crate) response_size: u64,
}

/// What the span says of it.
pub(crate) struct Ending<'a> {
    /// The span's name, if it is another than at the start.
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) route: Option<&'a Route>,
    pub(crate) grpc_status: Option<&'static str>,
    pub(crate) error_type: Option<Cow<'static, str>>,
    pub(crate) attributes: [Option<KeyValue>; 4],
    /// Those of which there may be many.
    pub(crate) more: Vec<KeyValue>,
}
