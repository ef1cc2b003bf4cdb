//! The span as the inside sees it: what a handler can say of its own request.

use std::{borrow::Cow, sync::Arc};

use http::Extensions;
use opentelemetry::{KeyValue, StringValue, trace::TraceContextExt};

use crate::{
    exchange::{
        live::Live,
        told::{Route, RouteSource},
    },
    intern,
    semconv::keys,
};

/// The server span of a request, as far as those inside have a say in it: its route, its name, what
/// kind of error it ended in.
///
/// A [`TraceLayer`](crate::TraceLayer) leaves it among the request's extensions. With the feature
/// `axum` a handler can take it as an argument. If the request is not recorded, there is one all the
/// same and what it is told goes nowhere. All else (attributes, events) is set on the current span
/// through OpenTelemetry's API.
///
/// ```
/// use axum::{Router, extract::Path, http::StatusCode, routing::get};
/// use tower_telemetry::{TraceLayer, server::ServerSpan};
///
/// async fn file(span: ServerSpan, Path(path): Path<String>) -> Result<String, StatusCode> {
///     // axum matched `/files/{*path}`; the handler knows better.
///     span.set_route("/files/{bucket}/{name}");
///     if path.starts_with("lost+found/") {
///         span.set_error_type("disk_corrupt");
///         return Err(StatusCode::INTERNAL_SERVER_ERROR);
///     }
///     Ok(path)
/// }
///
/// let app: Router = Router::new().route("/files/{*path}", get(file)).layer(TraceLayer::new());
/// # let _ = app;
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerSpan(Option<Arc<Live>>);

impl ServerSpan {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self(Some(live))
    }

    /// The span of the request that these extensions are of.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Whether what it is told goes anywhere: the span records and has not ended.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|live| live.is_recording())
    }

    /// The request's route, `http.route`, and with it the span's name. It should be [of low
    /// cardinality][route]: a pattern, never the path.
    ///
    /// Counts as said by the handler: before what the router has matched, and only the first time. An
    /// empty one says nothing.
    ///
    /// [route]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
    pub fn set_route(&self, route: impl Into<Cow<'static, str>>) {
        self.set_route_from(RouteSource::Handler, route);
    }

    /// The same, as said by somebody else; see [`RouteSource`] for who is believed.
    pub fn set_route_from(&self, source: RouteSource, route: impl Into<Cow<'static, str>>) {
        let route = route.into();
        if self.0.is_some() && !route.is_empty() {
            self.tell_route(source, shared(route));
        }
    }

    pub(super) fn tell_route(&self, source: RouteSource, pattern: StringValue) {
        if let Some(live) = &self.0 {
            live.told.route(&Route { source, pattern });
        }
    }

    /// The span's name, whatever the route says. Of several the last counts; an empty one says
    /// nothing.
    pub fn set_name(&self, name: impl Into<Cow<'static, str>>) {
        if let Some(live) = &self.0 {
            let name = name.into();
            if name.is_empty() {
                return;
            }
            live.told.change(|facts| facts.name = Some(name.clone()));
        }
    }

    /// What kind of error the request has failed with, [`error.type`], in place of the status code or
    /// the type's name. It should be one of a few words. It says why a request failed and not that
    /// it did: on the span of a response that is no error it does not appear.
    ///
    /// [`error.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
    pub fn set_error_type(&self, error_type: impl Into<Cow<'static, str>>) {
        if let Some(live) = &self.0 {
            let error_type = error_type.into();
            live.told.change(|facts| facts.error_type = Some(error_type.clone()));
        }
    }

    /// What the service's error is called.
    pub(super) fn set_service_error(&self, error_type: impl Into<Cow<'static, str>>) {
        if let Some(live) = &self.0 {
            let error_type = error_type.into();
            live.told.change(|facts| facts.service_error = Some(error_type.clone()));
        }
    }

    /// Adds the event that [an exception is][event].
    ///
    /// [event]: https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/
    pub(super) fn add_exception(&self, type_name: &'static str, message: Option<String>) {
        if let Some(live) = &self.0 {
            let message = message.map(|message| KeyValue::new(keys::EXCEPTION_MESSAGE, message));
            let attributes = [Some(KeyValue::new(keys::EXCEPTION_TYPE, type_name)), message];
            let attributes = attributes.into_iter().flatten().collect();
            live.cx().span().add_event(keys::EXCEPTION, attributes);
        }
    }

    /// Whether a layer has made it.
    pub(super) fn is_made(&self) -> bool {
        self.0.is_some()
    }

    /// From here on the bytes of the request's body are counted. Whether nobody else does it.
    pub(super) fn count_request(&self) -> bool {
        self.0.as_ref().is_some_and(|live| live.told.count_request())
    }

    pub(super) fn request_data(&self, length: u64) {
        if let Some(live) = &self.0 {
            live.told.request_data(length);
        }
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for ServerSpan {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}

fn shared(text: Cow<'static, str>) -> StringValue {
    match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => intern::shared(&text),
    }
}
