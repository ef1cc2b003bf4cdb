//! A request as the layer sees it: where it goes, what is asked for, and what the caller says of
//! it.

use std::{
    borrow::Cow,
    cell::OnceCell,
    hash::{DefaultHasher, Hash, Hasher},
};

use http::Uri;
use opentelemetry::Context;

use crate::{
    client::{OutgoingRequest, UrlTemplate, origin::Origin, request::Target},
    exchange::{naming::Naming, redaction::Redaction},
    head::RequestHead,
    semconv::{host, url},
};

/// A request as the layer sees it. Its target becomes a [`Uri`], and its template is looked for,
/// when somebody asks for that.
pub(super) struct Seen<'r, R> {
    pub(super) request: &'r R,
    cx: &'r Context,
    templates: Option<&'r Naming>,
    template: OnceCell<Option<Cow<'r, str>>>,
    target: Target<'r>,
    uri: OnceCell<Cow<'r, Uri>>,
}

impl<'r, R: OutgoingRequest> Seen<'r, R> {
    /// A request that is sent in `cx`, and what the layer has to give templates with.
    pub(super) fn new(request: &'r R, cx: &'r Context, templates: Option<&'r Naming>) -> Self {
        let target = request.target();
        let (template, uri) = (OnceCell::new(), OnceCell::new());
        Self { request, cx, templates, template, target, uri }
    }

    /// The same as a user's functions see it.
    pub(super) fn head(&self) -> RequestHead<'_> {
        self.head_with(self.template())
    }

    /// The path of its URL.
    pub(super) fn path(&self) -> &str {
        self.uri().path()
    }

    fn uri(&self) -> &Uri {
        self.uri.get_or_init(|| self.target.uri())
    }

    /// The template of its URL: the caller's, or else the layer's.
    pub(super) fn template(&self) -> Option<&str> {
        let template = self.template.get_or_init(|| {
            let given = UrlTemplate::given(self.request.extensions(), self.cx);
            let of_layer = || self.templates?.of(&self.head_with(None));
            given.map(Cow::Borrowed).or_else(of_layer)
        });
        template.as_deref()
    }

    fn head_with<'a>(&'a self, template: Option<&'a str>) -> RequestHead<'a> {
        RequestHead::new(
            self.request.method(),
            self.uri(),
            self.request.version(),
            self.request.headers(),
            self.request.extensions(),
            template,
        )
    }

    /// Tells requests for different things apart, of either type.
    pub(super) fn asked_for(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.request.method(), self.target.uri()).hash(&mut hasher);
        hasher.finish()
    }

    /// Which [host and port][server] it is sent to: the URL's, or that of the layer's origin, or
    /// what the `Host` header says.
    ///
    /// [server]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#setting-serveraddress-and-serverport-attributes
    pub(super) fn server<'a>(&self, origin: Option<&'a Origin>) -> Option<(&'a str, Option<u16>)>
    where
        'r: 'a,
    {
        match self.authority(origin) {
            Some(authority) => host::parse(authority),
            None => host::of_header(self.request.headers()),
        }
    }

    /// The same, as far as it is certain that the request goes there.
    pub(super) fn destination<'a>(
        &self,
        origin: Option<&'a Origin>,
    ) -> Option<(&'a str, Option<u16>)>
    where
        'r: 'a,
    {
        self.authority(origin).and_then(host::parse)
    }

    fn authority<'a>(&self, origin: Option<&'a Origin>) -> Option<&'a str>
    where
        'r: 'a,
    {
        self.target.authority().or(origin.map(Origin::authority))
    }

    pub(super) fn scheme<'a>(&self, origin: Option<&'a Origin>) -> &'a str
    where
        'r: 'a,
    {
        self.target.scheme().or(origin.map(Origin::scheme)).unwrap_or("http")
    }

    /// The whole URL, without what is redacted; what of it is not known is not there.
    pub(super) fn url(&self, origin: Option<&Origin>, redaction: &Redaction) -> String {
        if let Some(whole) = self.target.whole() {
            return redaction.url(whole).into_owned();
        }
        let uri = self.target.uri();
        let (path, query) = (uri.path(), uri.query());
        let mut url = String::with_capacity(path.len() + query.map_or(0, str::len) + 64);
        if let Some(authority) = self.authority(origin) {
            url.extend([self.scheme(origin), "://", authority]);
        } else if let Some((host, port)) = host::of_header(self.request.headers()) {
            url.extend([self.scheme(origin), "://"]);
            url::push_authority(&mut url, host, port);
        } else {
            // A path that begins with `//` would look like a URL with a host.
            url.push_str(&redaction.path(path));
            if let Some(query) = query {
                url.extend(["?", &redaction.query(query)]);
            }
            return url;
        }
        // A server as a whole [has no path][asterisk].
        //
        // [asterisk]: https://www.rfc-editor.org/rfc/rfc9112#section-3.3
        if path != "*" {
            url.push_str(path);
        }
        if let Some(query) = query {
            url.extend(["?", query]);
        }
        match redaction.url(&url) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => url,
        }
    }
}
