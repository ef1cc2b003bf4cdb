//! What a user runs at the turning points of an exchange. A hook that panics breaks nothing.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use opentelemetry::{Key, KeyValue};

use crate::{
    contained::contained,
    exchange::attributes::Attributes,
    head::{RequestHead, ResponseHead},
    semconv::keys::Convention,
};

/// How an exchange has ended, as hooks see it.
///
/// ```
/// use http::Request;
/// use tower_telemetry::TraceLayer;
#[doc = include_str!("../server/span_of.md")]
///
/// let layer = TraceLayer::new().on_end(|ended, _| {
///     assert_eq!(ended.status_code(), Some(http::StatusCode::OK));
///     assert_eq!(ended.error_type(), None);
///     assert_eq!(ended.response_size(), 7); // of "an item"
/// #   SEEN.store(true, std::sync::atomic::Ordering::Relaxed);
/// });
/// # static SEEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
/// span_of(layer, Request::new(String::new()));
/// # assert!(SEEN.load(std::sync::atomic::Ordering::Relaxed));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    pub(crate) status_code: Option<StatusCode>,
    pub(crate) error_type: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
    pub(crate) grpc_status: Option<&'static str>,
    pub(crate) duration: Duration,
    pub(crate) response_size: u64,
}

impl<'a> Ended<'a> {
    /// The response's status code, if there was a response.
    #[must_use]
    pub fn status_code(&self) -> Option<StatusCode> {
        self.status_code
    }

    /// The status of a gRPC call, such as `NOT_FOUND`, or `OK`, if it is known; of any other
    /// exchange there is none.
    #[must_use]
    pub fn grpc_status(&self) -> Option<&'static str> {
        self.grpc_status
    }

    /// The `error.type`, if the exchange has failed; `panic` and, on a server and but for gRPC,
    /// `cancelled` are two of them.
    #[must_use]
    pub fn error_type(&self) -> Option<&'a str> {
        self.error_type
    }

    /// The route, if it became known, which gRPC calls do not have; on a client the [template](crate::client::UrlTemplate) of the
    /// URL.
    #[must_use]
    pub fn route(&self) -> Option<&'a str> {
        self.route
    }

    /// From the start to the end of the span.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// How many bytes of the response's body were handed over before the end.
    #[must_use]
    pub fn response_size(&self) -> u64 {
        self.response_size
    }
}

/// The hooks of a layer, each kind in the order in which they were registered.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) request: Vec<RequestHook>,
    pub(crate) response: Vec<ResponseHook>,
    pub(crate) error: Vec<EndHook>,
    pub(crate) end: Vec<EndHook>,
}

pub(crate) type RequestHook = Arc<dyn Fn(&RequestHead<'_>, &mut Attributes<'_>) + Send + Sync>;
pub(crate) type ResponseHook = Arc<dyn Fn(&ResponseHead<'_>, &mut Attributes<'_>) + Send + Sync>;
pub(crate) type EndHook = Arc<dyn Fn(&Ended<'_>, &mut Attributes<'_>) + Send + Sync>;

impl Hooks {
    /// Before the span starts. Which keys are on the list that are no layer's; the caller says
    /// whether it has put `others` there.
    pub(crate) fn request<'a>(
        &self,
        head: impl FnOnce() -> RequestHead<'a>,
        list: &mut Vec<KeyValue>,
        convention: Convention,
        others: bool,
    ) -> Vec<Key> {
        if self.request.is_empty() && !others {
            return Vec::new();
        }
        let head = head();
        for hook in &self.request {
            contained(|| hook(&head, &mut Attributes::of_start(list, convention)));
        }
        let keys = list.iter().map(|attribute| &attribute.key);
        keys.filter(|key| !convention.is_ours(key.as_str())).cloned().collect()
    }

    pub(crate) fn response(
        &self,
        head: &ResponseHead<'_>,
        list: &mut Vec<KeyValue>,
        taken: &[Key],
        convention: Convention,
    ) {
        for hook in &self.response {
            contained(|| hook(head, &mut Attributes::late(list, taken, convention)));
        }
    }

    /// An error's hooks come first, so that `on_end` is always the last.
    pub(crate) fn end(
        &self,
        ended: &Ended<'_>,
        list: &mut Vec<KeyValue>,
        taken: &[Key],
        convention: Convention,
    ) {
        let errors = if ended.error_type.is_some() { self.error.as_slice() } else { &[] };
        for hook in errors.iter().chain(&self.end) {
            contained(|| hook(ended, &mut Attributes::late(list, taken, convention)));
        }
    }

    pub(crate) fn any_at_end(&self) -> bool {
        !(self.error.is_empty() && self.end.is_empty())
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("request", &self.request.len())
            .field("response", &self.response.len())
            .field("error", &self.error.len())
            .field("end", &self.end.len())
            .finish()
    }
}
