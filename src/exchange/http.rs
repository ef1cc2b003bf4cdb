//! A request that is no more than HTTP: what its span is called, and what it says of the end.

use std::borrow::Cow;

use opentelemetry::{KeyValue, StringValue};

use crate::{
    exchange::{
        end::{End, Ending},
        outcome::Outcome,
        settings::Settings,
        told::Route,
    },
    semconv::{keys, method::Folded},
};

/// What is known of such a request at the start.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: Folded,
    pub(crate) route: Option<Route>,
    /// Whether it is on the span already, where it can only stay.
    pub(crate) route_is_written: bool,
}

impl HttpRequest {
    /// What its span is called at first.
    pub(crate) fn span_name(&self) -> Cow<'static, str> {
        self.method.span_name(self.route.as_ref().map(|route| route.pattern.as_str()))
    }

    /// What the end says of the request.
    pub(crate) fn end<'a>(&'a self, end: End<'a>, settings: &Settings) -> Ending<'a> {
        let responded = end.status_code.is_some();
        let waited_for_body = end.outcome != Outcome::Answered;
        let sized = settings.response_size && responded && waited_for_body;
        let told = end.facts.and_then(|facts| facts.error_type(responded));
        let route = self.route(end.facts.and_then(|facts| facts.route.as_ref()));
        let size = |key, size: u64| KeyValue::new(key, i64::try_from(size).unwrap_or(i64::MAX));
        Ending {
            name: if end.named { None } else { self.late_name(route) },
            route,
            grpc_status: None,
            attributes: [
                route
                    .filter(|_| !self.route_is_written)
                    .map(|route| KeyValue::new(keys::HTTP_ROUTE, route.pattern.clone())),
                end.status_code.map(|status_code| {
                    KeyValue::new(keys::HTTP_RESPONSE_STATUS_CODE, i64::from(status_code.as_u16()))
                }),
                end.request_size.map(|bytes| size(keys::HTTP_REQUEST_BODY_SIZE, bytes)),
                sized.then(|| size(keys::HTTP_RESPONSE_BODY_SIZE, end.response_size)),
            ],
            more: Vec::new(),
            error_type: end.outcome.error_type(end.side, end.status_code, end.failed, told),
        }
    }

    /// What was known of the route or the URL's template at the start.
    pub(crate) fn pattern(&self) -> Option<StringValue> {
        self.route.as_ref().map(|route| route.pattern.clone())
    }

    /// The best route there is.
    fn route<'a>(&'a self, told: Option<&'a Route>) -> Option<&'a Route> {
        match (&self.route, told) {
            (Some(known), Some(told)) => Some(if told.beats(known) { told } else { known }),
            (known, told) => known.as_ref().or(told),
        }
    }

    fn late_name(&self, route: Option<&Route>) -> Option<Cow<'static, str>> {
        let known = self.route.as_ref().map(|route| route.pattern.as_str());
        let route = route.map(|route| route.pattern.as_str());
        (route != known).then(|| self.method.span_name(route))
    }
}
