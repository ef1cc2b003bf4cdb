//! Back to the caller: the span's context in the headers of the response.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::trace::SpanContext;

/// In which headers a response names the span that it was made in, so that a browser or a client
/// can say which trace to look at. Default: [in none](Self::none).
///
/// Neither header is part of a finished standard. For scripts of other origins to see them they are
/// added to `Access-Control-Expose-Headers`, unless they are in there already. A layer further out
/// that writes that header anew has to have them on its list, as tower-http's `CorsLayer` with
/// `expose_headers`.
///
/// ```
/// use http::{Request, Response};
/// use tower_telemetry::{TraceLayer, propagation::ResponsePropagation};
#[doc = include_str!("../server/span_of.md")]
///
/// let layer = TraceLayer::new()
///     .with_response_propagation(ResponsePropagation::none().with_traceresponse());
/// # let handler = tower::service_fn(|_| async { Ok::<_, ()>(Response::new(String::new())) });
/// # let (response, span) = exchange(layer, handler, Request::new(String::new()));
/// # let (response, cx) = (response.unwrap(), span.span_context);
/// // ... in the response to a request, whose span has the SpanContext `cx`:
/// let named = format!("00-{}-{}-01", cx.trace_id(), cx.span_id());
/// assert_eq!(response.headers["traceresponse"], named);
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponsePropagation {
    traceresponse: bool,
    server_timing: bool,
}

const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

impl ResponsePropagation {
    /// Nothing goes back: strangers need not know of traces. This is the default.
    ///
    /// ```
    /// use tower_telemetry::propagation::ResponsePropagation;
    ///
    /// assert_eq!(ResponsePropagation::none(), ResponsePropagation::default());
    /// ```
    pub const fn none() -> Self {
        Self { traceresponse: false, server_timing: false }
    }

    /// Writes `traceresponse: 00-{trace id}-{span id}-{flags}`, which was a [draft of W3C][draft].
    /// It replaces one that the service has passed on from elsewhere. Default: not.
    ///
    /// [draft]: https://www.w3.org/TR/2021/WD-trace-context-2-20211124/#traceresponse-header
    pub const fn with_traceresponse(mut self) -> Self {
        self.traceresponse = true;
        self
    }

    /// Writes `Server-Timing: trace;desc="00-{trace id}-{span id}-{flags}"`, which the
    /// [editor's draft] of W3C Trace Context has now and browsers show to scripts. A `trace` that
    /// the service has written itself stays, and then no second one is written. Default: not.
    ///
    /// ```
    /// use tower_telemetry::propagation::ResponsePropagation;
    ///
    /// // Both headers.
    /// let both = ResponsePropagation::none().with_traceresponse().with_server_timing();
    /// assert_ne!(both, ResponsePropagation::none().with_traceresponse());
    /// ```
    ///
    /// [editor's draft]: https://w3c.github.io/trace-context/
    pub const fn with_server_timing(mut self) -> Self {
        self.server_timing = true;
        self
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::none()
    }

    pub(crate) fn write(self, span: &SpanContext, headers: &mut HeaderMap) {
        if self.is_none() || !span.is_valid() {
            return;
        }
        let flags = span.trace_flags().to_u8();
        let value = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
        // A map that is full takes nothing more.
        if self.traceresponse
            && let Ok(value) = HeaderValue::try_from(&value)
            && headers.try_insert(TRACERESPONSE, value).is_ok()
        {
            expose(TRACERESPONSE, headers);
        }
        if self.server_timing
            && !has_trace_timing(headers)
            && let Ok(value) = HeaderValue::try_from(format!("trace;desc=\"{value}\""))
            && headers.try_append(SERVER_TIMING, value).is_ok()
        {
            expose(SERVER_TIMING, headers);
        }
    }
}

fn has_trace_timing(headers: &HeaderMap) -> bool {
    list(headers, &SERVER_TIMING)
        .any(|metric| metric.split(';').next().is_some_and(|name| name.trim() == "trace"))
}

/// Lets scripts of other origins see the header, if they may see the response at all.
///
/// A `*` covers it, but [not where credentials are allowed][wildcard].
///
/// [wildcard]: https://fetch.spec.whatwg.org/#http-access-control-expose-headers
fn expose(name: HeaderName, headers: &mut HeaderMap) {
    let credentials = headers
        .get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS)
        .is_some_and(|allowed| allowed.as_bytes() == b"true");
    let exposed = list(headers, &header::ACCESS_CONTROL_EXPOSE_HEADERS).any(|exposed| {
        exposed.eq_ignore_ascii_case(name.as_str()) || exposed == "*" && !credentials
    });
    if !exposed {
        let _ = headers.try_append(header::ACCESS_CONTROL_EXPOSE_HEADERS, name.into());
    }
}

fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{TraceFlags, TraceState};

    use super::*;

    const ID: &str = "00-0000000000000000000000000000002a-000000000000000b-01";

    fn span() -> SpanContext {
        let ids = (42_u128.into(), 11_u64.into());
        SpanContext::new(ids.0, ids.1, TraceFlags::SAMPLED, false, TraceState::NONE)
    }

    fn written(policy: ResponsePropagation, before: &[(&str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        policy.write(&span(), &mut headers);
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_response_names_its_span_as_it_was_asked_to() {
        let both = ResponsePropagation::none().with_traceresponse().with_server_timing();
        assert_eq!(
            written(both, &[]),
            [
                "access-control-expose-headers: server-timing".to_owned(),
                "access-control-expose-headers: traceresponse".to_owned(),
                format!("server-timing: trace;desc=\"{ID}\""),
                format!("traceresponse: {ID}"),
            ]
        );
    }

    #[test]
    fn what_is_there_already_is_not_there_twice() {
        let traceresponse = ResponsePropagation::none().with_traceresponse();
        let line = format!("traceresponse: {ID}");
        for (exposed, lines) in [
            ("x-a, TraceResponse", vec!["access-control-expose-headers: x-a, TraceResponse"]),
            ("*", vec!["access-control-expose-headers: *"]),
            (
                "x-a",
                vec![
                    "access-control-expose-headers: traceresponse",
                    "access-control-expose-headers: x-a",
                ],
            ),
        ] {
            let mut lines: Vec<_> = lines.into_iter().map(str::to_owned).collect();
            lines.push(line.clone());
            let before =
                [("access-control-expose-headers", exposed), ("traceresponse", "somebody's")];
            assert_eq!(written(traceresponse, &before), lines, "{exposed}");
        }
        let before =
            [("access-control-expose-headers", "*"), ("access-control-allow-credentials", "true")];
        assert!(
            written(traceresponse, &before)
                .contains(&"access-control-expose-headers: traceresponse".to_owned())
        );

        let timing = ResponsePropagation::none().with_server_timing();
        assert_eq!(
            written(timing, &[("server-timing", "db;dur=3, trace;desc=theirs")]),
            ["server-timing: db;dur=3, trace;desc=theirs"]
        );
        assert_eq!(
            written(timing, &[("server-timing", "db;dur=3")])[1..],
            ["server-timing: db;dur=3".to_owned(), format!("server-timing: trace;desc=\"{ID}\"")]
        );
    }

    #[test]
    fn without_a_span_nothing_is_written() {
        let mut headers = HeaderMap::new();
        ResponsePropagation::none().with_traceresponse().write(&SpanContext::NONE, &mut headers);
        assert!(headers.is_empty());
    }
}
