//! What a user says of gRPC calls.

use std::{fmt, sync::Arc};

use http::HeaderMap;

use crate::{
    exchange::{
        capture::{CapturedHeaders, HeaderSelector},
        filter::Verdict,
        grpc::methods::GrpcMethods,
    },
    semconv::{
        grpc::{content_type::Encoding, method},
        keys,
        legacy::LegacyNames,
    },
};

/// What is recorded of gRPC calls, on either side, where it differs from the defaults.
///
/// A layer needs none of it to recognise a call. The module docs of [both](crate::server#grpc)
/// [sides](crate::client#grpc) say what its span is.
///
/// ```
/// use tower_telemetry::{ClientTraceLayer, Grpc, HeaderSelector, TraceLayer};
///
/// let grpc = Grpc::new()
///     .without_health_and_reflection()
///     .with_request_metadata(HeaderSelector::new(["x-tenant"])?);
/// let server = TraceLayer::new().with_grpc(grpc.clone());
/// let client = ClientTraceLayer::new().with_grpc(grpc);
/// # let _ = (server, client);
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct Grpc {
    off: bool,
    pub(super) methods: Option<GrpcMethods>,
    pub(super) request_metadata: CapturedHeaders,
    pub(super) response_metadata: CapturedHeaders,
    pub(super) failure: Option<Failure>,
    without_health_and_reflection: bool,
    /// `Some` once it is given, also if that is no name.
    legacy_names: Option<Option<LegacyNames>>,
}

/// Whether a status is a failure.
#[derive(Clone)]
pub(super) struct Failure(pub(super) Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Grpc {
    /// The defaults: every method is recorded by its name, no metadata is, and what counts as a
    /// failure is what the conventions say.
    pub fn new() -> Self {
        Self::default()
    }

    /// No request is a call, whatever its content type says: for servers that serve none, where only a
    /// stranger would say so.
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::{Grpc, TraceLayer};
    #[doc = include_str!("../../server/span_of.md")]
    ///
    /// let request = Request::post("/anything/goes")
    ///     .header("content-type", "application/grpc")
    ///     .body(String::new())?;
    /// assert_eq!(span_of(TraceLayer::new(), request.clone()).name, "grpc");
    /// assert_eq!(span_of(TraceLayer::new().with_grpc(Grpc::off()), request).name, "POST");
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn off() -> Self {
        Self { off: true, ..Self::new() }
    }

    /// The methods that are recorded by their names; every other one is `_OTHER`. Default: each is
    /// recorded by its name.
    ///
    /// The conventions want [`_OTHER`][other] for what a server does not know, and a layer does not
    /// know what a server knows unless it is told. By default it prefers a name that may be a
    /// stranger's to none at all, if that has the form of one: identifiers of ASCII letters,
    /// digits, `_` and `-`, at most 256 characters. If a server then answers as nobody does who
    /// knows the method, with 404, 405, 415 or a success without a status, the span is called
    /// `grpc` after all. A tonic server answers every call, so one that strangers can reach should
    /// have a list.
    ///
    /// ```
    /// use tower_telemetry::{Grpc, GrpcMethods, TraceLayer};
    ///
    /// let methods = GrpcMethods::new(["shop.v1.Inventory"])?;
    /// let layer = TraceLayer::new().with_grpc(Grpc::new().with_methods(methods));
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [other]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#server
    pub fn with_methods(mut self, methods: GrpcMethods) -> Self {
        self.methods = Some(methods);
        self
    }

    /// The metadata of requests that is recorded, as `rpc.request.metadata.{key}`. Default: none,
    /// [as it may hold anything][metadata].
    ///
    /// A key that ends with `-bin` has its value in base64, as it is sent. Values go through the
    /// layer's [`Redaction`](crate::Redaction), as headers do.
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::{Grpc, HeaderSelector, TraceLayer};
    #[doc = include_str!("../../server/span_of.md")]
    ///
    /// let grpc = Grpc::new().with_request_metadata(HeaderSelector::new(["x-tenant"])?);
    /// let request = Request::post("/shop.v1.Inventory/Get")
    ///     .header("content-type", "application/grpc")
    ///     .header("x-tenant", "acme")
    ///     .body(String::new())?;
    /// let metadata = |attribute: &opentelemetry::KeyValue| {
    ///     attribute.key.as_str() == "rpc.request.metadata.x-tenant"
    ///         && attribute.value.to_string() == r#"["acme"]"#
    /// };
    /// let span = span_of(TraceLayer::new().with_grpc(grpc), request);
    /// assert!(span.attributes.iter().any(metadata));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [metadata]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/rpc/
    pub fn with_request_metadata(mut self, metadata: HeaderSelector) -> Self {
        self.request_metadata = CapturedHeaders::new(metadata, keys::RPC_REQUEST_METADATA);
        self
    }

    /// The metadata of responses that is recorded, as `rpc.response.metadata.{key}`: what came with
    /// the head, and what came with the trailers. Default: none.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{Grpc, HeaderSelector, TraceLayer};
    #[doc = include_str!("../../server/span_of.md")]
    ///
    /// let grpc = Grpc::new().with_response_metadata(HeaderSelector::new(["x-shard"])?);
    /// let service = service_fn(|_: Request<String>| async {
    ///     Response::builder().header("grpc-status", "0").header("x-shard", "7").body(String::new())
    /// });
    /// let request = Request::post("/shop.v1.Inventory/Get")
    ///     .header("content-type", "application/grpc")
    ///     .body(String::new())?;
    /// let metadata = |attribute: &opentelemetry::KeyValue| {
    ///     attribute.key.as_str() == "rpc.response.metadata.x-shard"
    ///         && attribute.value.to_string() == r#"["7"]"#
    /// };
    /// let span = span_by(TraceLayer::new().with_grpc(grpc), service, request);
    /// assert!(span.attributes.iter().any(metadata));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_response_metadata(mut self, metadata: HeaderSelector) -> Self {
        self.response_metadata = CapturedHeaders::new(metadata, keys::RPC_RESPONSE_METADATA);
        self
    }

    /// Which statuses are failures, asked with the status' name, such as `NOT_FOUND`. Default: on a
    /// server [six of them][server], `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`,
    /// `UNAVAILABLE` and `DATA_LOSS`; on a client all [but `OK`][client]. If it panics, the default
    /// counts.
    ///
    /// It is not asked where there is an error without a status: of the service, of the body, or a
    /// panic.
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, Grpc};
    ///
    /// // Looking for what is not there is this client's business, and so is its changing its mind.
    /// let grpc = Grpc::new()
    ///     .with_failure_by(|status| !matches!(status, "OK" | "NOT_FOUND" | "CANCELLED"));
    /// let layer = ClientTraceLayer::new().with_grpc(grpc);
    /// # let _ = layer;
    /// ```
    ///
    /// [client]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
    /// [server]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#server
    pub fn with_failure_by<F>(mut self, failed: F) -> Self
    where
        F: Fn(&str) -> bool + Send + Sync + 'static,
    {
        self.failure = Some(Failure(Arc::new(failed)));
        self
    }

    /// Makes no spans and no measurements of calls to gRPC's own services for [health] and
    /// [reflection], which are called all the time and tell nothing. Default: they are recorded
    /// like all others.
    ///
    /// Their context is still read and passed on.
    ///
    /// ```
    /// use tower_telemetry::{Grpc, TraceLayer};
    ///
    /// let layer = TraceLayer::new().with_grpc(Grpc::new().without_health_and_reflection());
    /// # let _ = layer;
    /// ```
    ///
    /// [health]: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
    /// [reflection]: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
    pub fn without_health_and_reflection(mut self) -> Self {
        self.without_health_and_reflection = true;
        self
    }

    /// Records the status as `rpc.response.status_code`, its name until version 1.44 of the
    /// conventions, beside `rpc.status_code` or instead of it. Default: `rpc.status_code` alone.
    /// `None` asks for that, whatever the variable says. Variable: `OTEL_SEMCONV_STABILITY_OPT_IN`.
    ///
    /// ```
    /// use tower_telemetry::{Grpc, TraceLayer, server::LegacyNames};
    ///
    /// let grpc = Grpc::new().with_legacy_names(LegacyNames::Beside);
    /// let layer = TraceLayer::new().with_grpc(grpc);
    /// # let _ = layer;
    /// ```
    pub fn with_legacy_names(mut self, names: impl Into<Option<LegacyNames>>) -> Self {
        self.legacy_names = Some(names.into());
        self
    }

    /// What the code says of names, or else what was found in the environment.
    pub(crate) fn legacy_names_or(&self, found: Option<LegacyNames>) -> Option<LegacyNames> {
        self.legacy_names.unwrap_or(found)
    }

    /// Whether a request with these headers is a call.
    pub(super) fn is_call(&self, headers: &HeaderMap) -> bool {
        !self.off && Encoding::of(headers).is_some()
    }

    /// What a request is to leave behind as far as gRPC is concerned. Of one that is no call, the
    /// path is not looked at.
    pub(crate) fn verdict<'a>(
        &self,
        headers: &HeaderMap,
        path: impl FnOnce() -> &'a str,
    ) -> Verdict {
        let is_one = self.without_health_and_reflection
            && self.is_call(headers)
            && method::HEALTH_AND_REFLECTION.contains(&path());
        if is_one { Verdict::all().without_span().without_metrics() } else { Verdict::all() }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        let nothing = |prefix| CapturedHeaders::new(HeaderSelector::none(), prefix);
        Self {
            off: false,
            methods: None,
            request_metadata: nothing(keys::RPC_REQUEST_METADATA),
            response_metadata: nothing(keys::RPC_RESPONSE_METADATA),
            failure: None,
            without_health_and_reflection: false,
            legacy_names: None,
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failure")
    }
}
