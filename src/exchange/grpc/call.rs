//! A call: from what it is named to the status that it ends with.

use std::{
    borrow::Cow,
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, StatusCode};
use opentelemetry::{Array, KeyValue, StringValue, Value};

use crate::{
    contained::contained,
    exchange::{
        attributes::{Server, push_server},
        end::{End, Ending},
        outcome::{Outcome, Side},
        settings::Settings,
    },
    intern,
    semconv::{
        grpc::{method, status::Status, timeout},
        keys,
        legacy::LegacyNames,
    },
};

/// The span's name where the method's is none of the known ones.
pub(crate) const SYSTEM: &str = "grpc";

/// A gRPC call, as far as its span is concerned. What changes is written by the guard alone.
pub(crate) struct Call {
    method: Method,
    deadline: Option<Duration>,
    /// [`NONE`] before there is one.
    status: AtomicU8,
    /// What was captured of the response so far.
    metadata: ArcSwapOption<Vec<KeyValue>>,
}

enum Method {
    Listed(StringValue),
    /// Of a service that is listed, as the caller says.
    OfService(StringValue),
    /// Without a list, as the caller says.
    Claimed(StringValue),
    /// What was asked for, until that is on the span.
    Other(String),
}

/// No status.
const NONE: u8 = u8::MAX;
/// `OK` in the head, which counts if nothing goes wrong after it.
const OK_SO_FAR: u8 = u8::MAX - 1;
/// It was somewhere in the body, where it could not be read.
const UNREADABLE: u8 = u8::MAX - 2;

impl Call {
    /// The call that a request is, if it is one; if not, its path is not looked at.
    pub(crate) fn of<'a>(
        headers: &HeaderMap,
        path: impl FnOnce() -> &'a str,
        settings: &Settings,
    ) -> Option<Self> {
        if !settings.grpc.is_call(headers) {
            return None;
        }
        let sent = path();
        let path = settings.redaction.path(sent);
        let listed = settings.grpc.methods.as_ref();
        let known = method::of_path(&path).filter(|method| {
            // What is redacted there is no method.
            method::of_path(sent) == Some(*method) && listed.is_none_or(|listed| listed.has(method))
        });
        let method = match known {
            Some(method) => {
                let name = intern::shared(method);
                match listed {
                    Some(listed) if listed.names(method) => Method::Listed(name),
                    Some(_) => Method::OfService(name),
                    None => Method::Claimed(name),
                }
            }
            None => Method::Other(path.strip_prefix('/').unwrap_or(&path).to_owned()),
        };
        Some(Self {
            method,
            deadline: timeout::of(headers),
            status: AtomicU8::new(NONE),
            metadata: ArcSwapOption::const_empty(),
        })
    }

    /// The [method], or `grpc`.
    ///
    /// [method]: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/#name
    pub(crate) fn span_name(&self) -> Cow<'static, str> {
        match &self.method {
            Method::Listed(method) | Method::OfService(method) | Method::Claimed(method) => {
                method.as_str().to_owned().into()
            }
            Method::Other(_) => SYSTEM.into(),
        }
    }

    /// What a sampler may look at, in a vector with `room`.
    pub(crate) fn attributes(
        &mut self,
        server: Option<Server>,
        headers: &HeaderMap,
        settings: &Settings,
        room: usize,
    ) -> Vec<KeyValue> {
        let mut list = Vec::with_capacity(room);
        list.push(KeyValue::new(keys::RPC_SYSTEM_NAME, SYSTEM));
        match &mut self.method {
            Method::Listed(method) | Method::OfService(method) | Method::Claimed(method) => {
                list.push(KeyValue::new(keys::RPC_METHOD, method.clone()));
            }
            Method::Other(original) => {
                list.push(KeyValue::new(keys::RPC_METHOD, keys::OTHER));
                list.push(KeyValue::new(keys::RPC_METHOD_ORIGINAL, mem::take(original)));
            }
        }
        push_server(&mut list, server);
        settings.grpc.request_metadata.capture(headers, &settings.redaction, &mut list);
        list
    }

    /// The method as metrics name it: what only a caller says only if it `exists`.
    pub(crate) fn method_if(&self, exists: impl Fn(&StringValue) -> bool) -> StringValue {
        match &self.method {
            Method::Listed(method) => method.clone(),
            Method::OfService(method) | Method::Claimed(method) if exists(method) => method.clone(),
            Method::OfService(_) | Method::Claimed(_) | Method::Other(_) => keys::OTHER.into(),
        }
    }

    /// The head of the response, which may be all of it, has status and metadata or has none.
    pub(crate) fn head(&self, headers: &HeaderMap, settings: &Settings) {
        self.said(headers, settings);
        if self.status() == Some(Status::OK) {
            self.status.store(OK_SO_FAR, Relaxed);
        }
    }

    /// The trailers have the status, as a rule, and more metadata.
    pub(crate) fn trailers(&self, trailers: &HeaderMap, settings: &Settings) {
        self.said(trailers, settings);
    }

    fn said(&self, headers: &HeaderMap, settings: &Settings) {
        if let Some(status) = Status::of(headers) {
            self.set_status(status);
        }
        let selected = &settings.grpc.response_metadata;
        if selected.is_empty() {
            return;
        }
        let mut list = Vec::new();
        selected.capture(headers, &settings.redaction, &mut list);
        if !list.is_empty() {
            let before = self.metadata.load_full();
            let all = before.iter().flat_map(|before| before.iter().cloned()).chain(list);
            self.metadata.store(Some(Arc::new(merged(all))));
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status.code(), Relaxed);
    }

    /// The body has a status, but nobody can read it.
    pub(crate) fn set_unreadable(&self) {
        if self.status().is_none() {
            self.status.store(UNREADABLE, Relaxed);
        }
    }

    pub(crate) fn status(&self) -> Option<Status> {
        Status::from_code(self.status.load(Relaxed))
    }

    /// The status that the end implies where none was given, and the status code that it was made
    /// of.
    fn implied(&self, end: &End<'_>) -> Option<(Status, Option<StatusCode>)> {
        let complete = matches!(end.outcome, Outcome::Complete | Outcome::Status);
        if complete && self.status.load(Relaxed) == OK_SO_FAR {
            return Some((Status::OK, None));
        }
        let mapped = end.status_code.map(|code| (Status::of_http(code), Some(code)));
        if end.status_code.is_some_and(|code| code != StatusCode::OK) {
            // It was no answer to a call, whatever became of it then.
            return mapped;
        }
        let implied = match (&end.outcome, end.side) {
            (Outcome::Complete | Outcome::Status, _) => {
                return mapped.filter(|_| self.status.load(Relaxed) != UNREADABLE);
            }
            // The head was all that there was to wait for.
            (Outcome::Answered, _) => return None,
            (Outcome::Cancelled, _) => match self.deadline {
                Some(deadline) if end.duration >= deadline => Status::DEADLINE_EXCEEDED,
                _ => Status::CANCELLED,
            },
            // A server resets the stream, [which means that][reset].
            //
            // [reset]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
            (Outcome::Failed(_), Side::Server) => Status::INTERNAL,
            (Outcome::Failed(_), Side::Client) | (Outcome::Panicked, _) => Status::UNKNOWN,
        };
        Some((implied, None))
    }

    /// Whether the answer is that of a server that does not know the method. What it was called by
    /// a stranger is then no name for a span.
    fn is_unknown(&self, end: &End<'_>) -> bool {
        let claimed = matches!(self.method, Method::Claimed(_));
        let no_status = self.status.load(Relaxed) == NONE;
        end.status_code.filter(|_| claimed && no_status).is_some_and(|status_code| {
            matches!(status_code.as_u16(), 404 | 405 | 415)
                || status_code.is_success() && end.outcome == Outcome::Complete
        })
    }

    /// What the end says of the call.
    pub(crate) fn end(&self, end: End<'_>, settings: &Settings) -> Ending<'_> {
        let (status, status_code) = match self.status() {
            Some(status) => (Some(status), None),
            None => self.implied(&end).map_or((None, None), |(status, code)| (Some(status), code)),
        };
        let name = (!end.named && self.is_unknown(&end)).then(|| SYSTEM.into());
        let told = end.facts.and_then(|facts| facts.error_type(end.status_code.is_some()));
        let error_type = match end.outcome {
            Outcome::Failed(name) => Some(told.unwrap_or(name)),
            Outcome::Panicked => Some("panic".into()),
            Outcome::Complete | Outcome::Answered | Outcome::Status | Outcome::Cancelled => status
                .filter(|status| is_failure(*status, end.side, settings))
                .map(|status| told.unwrap_or(status.name().into())),
        };
        let names = settings.legacy_grpc_names;
        let status_as = |key, written: bool| {
            status.filter(|_| written).map(|status| KeyValue::new(key, status.name()))
        };
        Ending {
            name,
            route: None,
            grpc_status: status.map(Status::name),
            attributes: [
                status_as(keys::RPC_STATUS_CODE, names != Some(LegacyNames::Instead)),
                status_as(keys::RPC_RESPONSE_STATUS_CODE, names.is_some()),
                status_code.map(|code| {
                    KeyValue::new(keys::HTTP_RESPONSE_STATUS_CODE, i64::from(code.as_u16()))
                }),
                None,
            ],
            more: self.metadata.swap(None).map(Arc::unwrap_or_clone).unwrap_or_default(),
            error_type,
        }
    }
}

fn is_failure(status: Status, side: Side, settings: &Settings) -> bool {
    let chosen = settings.grpc.failure.as_ref();
    chosen.and_then(|failed| contained(|| (failed.0)(status.name()))).unwrap_or_else(
        || match side {
            Side::Server => status.is_server_error(),
            Side::Client => status.is_client_error(),
        },
    )
}

/// Each key once, with all its values.
fn merged(all: impl Iterator<Item = KeyValue>) -> Vec<KeyValue> {
    let mut merged: Vec<KeyValue> = Vec::new();
    for attribute in all {
        let known = merged.iter_mut().find(|known| known.key == attribute.key);
        match (known.map(|known| &mut known.value), attribute.value) {
            (Some(Value::Array(Array::String(known))), Value::Array(Array::String(values))) => {
                known.extend(values);
            }
            (_, value) => merged.push(KeyValue::new(attribute.key, value)),
        }
    }
    merged
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.span_name())
            .field("status", &self.status().map(Status::name))
            .finish_non_exhaustive()
    }
}
