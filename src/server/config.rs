//! What all services of a layer share.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    exchange::{
        capture::{CapturedHeaders, HeaderSelector},
        classify::Classifier,
        contained::contained,
        head::RequestHead,
        settings::Settings,
    },
    providers::Providers,
    semconv::{keys, method::KnownMethods},
    server::{Forwarded, filter::Filter, parent::ParentPolicy},
};

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) providers: Providers,
    pub(super) filter: Filter,
    pub(super) remote_parent: ParentPolicy,
    pub(super) forwarded: Forwarded,
    pub(super) classifier: Option<Classifier>,
    pub(super) span_name: Option<SpanName>,
    pub(super) route_before_start: bool,
    pub(super) opt_in: OptIn,
    /// What counts, of what the code says, and else the environment.
    pub(super) known_methods: KnownMethods,
    pub(super) request_headers: CapturedHeaders,
    pub(super) exchange: Arc<Settings>,
    given: Given,
}

/// What the code says, which comes before the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) known_methods: Option<KnownMethods>,
    pub(super) request_headers: Option<HeaderSelector>,
    pub(super) response_headers: Option<HeaderSelector>,
}

/// The attributes that are recorded if somebody asks for them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OptIn {
    pub(super) client_port: bool,
    pub(super) network_local: bool,
    pub(super) network_transport: bool,
    pub(super) user_agent_synthetic: bool,
}

/// A user's function for the span's name.
#[derive(Clone)]
pub(super) struct SpanName(pub(super) Arc<NameOf>);

pub(super) type NameOf = dyn Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync;

impl Config {
    /// Changes what the code says, and works out anew what counts.
    pub(super) fn give(&mut self, change: impl FnOnce(&mut Given)) {
        change(&mut self.given);
        self.resolve();
    }

    pub(super) fn provide(&mut self, providers: Providers) {
        self.providers = providers;
        self.resolve();
    }

    fn resolve(&mut self) {
        let (given, found) = (&self.given, &self.providers.instrumentation);
        let headers = |given: &Option<HeaderSelector>, found: &Option<HeaderSelector>| {
            given.as_ref().or(found.as_ref()).cloned().unwrap_or_default()
        };
        let methods = given.known_methods.as_ref().or(found.known_methods.as_ref());
        self.known_methods = methods.cloned().unwrap_or_default();
        self.request_headers = CapturedHeaders::new(
            headers(&given.request_headers, &found.server_request_headers),
            keys::REQUEST_HEADER,
        );
        let response_headers = CapturedHeaders::new(
            headers(&given.response_headers, &found.server_response_headers),
            keys::RESPONSE_HEADER,
        );
        Arc::make_mut(&mut self.exchange).response_headers = response_headers;
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            providers: Providers::global(),
            filter: Filter::default(),
            remote_parent: ParentPolicy::default(),
            forwarded: Forwarded::never(),
            classifier: None,
            span_name: None,
            route_before_start: false,
            opt_in: OptIn::default(),
            known_methods: KnownMethods::default(),
            request_headers: CapturedHeaders::new(HeaderSelector::none(), keys::REQUEST_HEADER),
            exchange: Arc::new(Settings::new(keys::RESPONSE_HEADER)),
            given: Given::default(),
        };
        config.resolve();
        config
    }
}

impl SpanName {
    pub(super) fn of(&self, head: &RequestHead<'_>) -> Option<Cow<'static, str>> {
        contained(|| (self.0)(head)).flatten().filter(|name| !name.is_empty())
    }
}

impl fmt::Debug for SpanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpanName")
    }
}
