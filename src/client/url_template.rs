//! The template of a URL: what requests to the same place have in common.

use std::sync::Arc;

use http::Extensions;
use opentelemetry::Context;

/// The template of a request's URL, such as `/items/{id}`: [`url.template`][url], and with it the
/// span's name, `GET /items/{id}`. It should be [of low cardinality][name]. Default: none, since
/// only the caller knows it; then the span is named `GET`.
///
/// It is given with a request, among its [extensions](http::Extensions):
///
/// ```
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::{ClientTraceLayer, client::UrlTemplate};
#[doc = include_str!("span_of.md")]
///
/// let request = Request::get("http://inventory/items/42")
///     .extension(UrlTemplate::new("/items/{id}"))
///     .body(String::new())?;
/// let span = span_of(ClientTraceLayer::new(), request);
/// assert_eq!(span.name, "GET /items/{id}");
/// assert!(span.attributes.contains(&KeyValue::new("url.template", "/items/{id}")));
/// # Ok::<(), http::Error>(())
/// ```
///
/// or with the Context that it is sent in, which works for a `reqwest::Request`, too, since nobody
/// can see the extensions of one. All requests that are sent in there have it:
///
/// ```
/// use http::{Request, Response};
/// use opentelemetry::{Context, trace::FutureExt};
/// use tower::{Service, ServiceExt};
/// use tower_telemetry::client::UrlTemplate;
///
/// # async fn item<S: Service<Request<()>>>(client: S) -> Result<S::Response, S::Error> {
/// # let request = Request::get("http://inventory/items/42").body(()).unwrap();
/// let cx = Context::current_with_value(UrlTemplate::new("/items/{id}"));
/// let response = client.oneshot(request).with_context(cx).await?;
/// # Ok(response)
/// # }
/// ```
///
/// or by the layer, for [all requests](crate::ClientTraceLayer::with_url_template) that it knows a
/// template for. The request's own comes first, then the Context's. An empty one is none.
///
/// [url]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
/// [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(Option<Arc<str>>);

impl UrlTemplate {
    /// The template, of which every clone is a reference count.
    #[must_use]
    pub fn new(template: impl Into<Arc<str>>) -> Self {
        let template = template.into();
        Self(Some(template).filter(|template| !template.is_empty()))
    }

    /// Hides the one of a Context from what is sent further in.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Whether there is one in the Context, to be hidden.
    pub(super) fn is_in(cx: &Context) -> bool {
        cx.get::<Self>().is_some_and(|template| template.0.is_some())
    }

    /// What the caller has given.
    pub(super) fn given<'a>(extensions: &'a Extensions, cx: &'a Context) -> Option<&'a str> {
        let of = |given: Option<&'a Self>| given.and_then(|template| template.0.as_deref());
        of(extensions.get()).or_else(|| of(cx.get()))
    }
}
