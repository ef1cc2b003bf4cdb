//! What all services of a layer share.

use std::sync::Arc;

use crate::{
    client::{grpc_target::GrpcTarget, origin::Origin, propagate::Policy},
    exchange::{
        capture::{CapturedHeaders, HeaderSelector},
        classify::Classifier,
        filter::Filter,
        given::Given,
        grpc::settings::Grpc,
        metrics::{measuring::Measuring, settings::Metrics},
        naming::Naming,
        outcome::Side,
        settings::Settings,
    },
    providers::Providers,
    semconv::{keys, method::KnownMethods},
};

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) providers: Providers,
    pub(super) propagation: Policy,
    pub(super) filter: Filter,
    pub(super) parent_required: bool,
    pub(super) classifier: Option<Classifier>,
    pub(super) origin: Option<Origin>,
    pub(super) grpc_target: Option<GrpcTarget>,
    pub(super) url_template: Option<Naming>,
    pub(super) span_name: Option<Naming>,
    pub(super) opt_in: OptIn,
    /// What counts, of what the code says, and else the environment.
    pub(super) known_methods: KnownMethods,
    pub(super) request_headers: CapturedHeaders,
    pub(super) exchange: Arc<Settings>,
    /// Whether there are to be spans, and headers.
    pub(super) traces: bool,
    /// If there are to be metrics.
    pub(super) measuring: Option<Measuring>,
    metrics: Option<Arc<Metrics>>,
    /// What the code says, which comes before the environment.
    given: Given,
}

/// The attributes that are recorded if somebody asks for them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OptIn {
    pub(super) url_scheme: bool,
    pub(super) user_agent: bool,
}

impl Config {
    /// Changes what the code says, and works out anew what counts.
    pub(super) fn give(&mut self, change: impl FnOnce(&mut Given)) {
        change(&mut self.given);
        self.resolve();
    }

    pub(super) fn give_grpc(&mut self, grpc: Grpc) {
        Arc::make_mut(&mut self.exchange).grpc = grpc;
        self.resolve();
    }

    pub(super) fn measure(&mut self, metrics: Metrics) {
        self.metrics = Some(Arc::new(metrics));
        self.resolve();
    }

    /// From here on there are metrics alone.
    pub(super) fn stop_tracing(&mut self) {
        self.traces = false;
        self.metrics.get_or_insert_default();
        self.resolve();
    }

    pub(super) fn provide(&mut self, providers: Providers) {
        self.providers = providers;
        self.resolve();
    }

    /// Where requests go whose URL does not say it.
    pub(super) fn origin(&self) -> Option<&Origin> {
        let of_target = || self.grpc_target.as_ref().and_then(|target| target.origin.as_ref());
        self.origin.as_ref().or_else(of_target)
    }

    fn resolve(&mut self) {
        let meter = &self.providers.meter;
        let measuring = |metrics| Measuring::new(Side::Client, metrics, meter);
        self.measuring = self.metrics.as_ref().map(measuring);
        let chosen = self.given.or(&self.providers.instrumentation.client);
        self.known_methods = chosen.known_methods;
        self.request_headers = chosen.request_headers;
        let exchange = Arc::make_mut(&mut self.exchange);
        exchange.response_headers = chosen.response_headers;
        exchange.exceptions.exceptions = chosen.exceptions;
        exchange.exceptions.logger = self.providers.logger.clone();
        let found = self.providers.instrumentation.legacy_grpc_names;
        exchange.legacy_grpc_names = exchange.grpc.legacy_names_or(found);
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            providers: Providers::global(),
            propagation: Policy::default(),
            filter: Filter::default(),
            parent_required: false,
            classifier: None,
            origin: None,
            grpc_target: None,
            url_template: None,
            span_name: None,
            opt_in: OptIn::default(),
            known_methods: KnownMethods::default(),
            request_headers: CapturedHeaders::new(HeaderSelector::none(), keys::REQUEST_HEADER),
            exchange: Arc::new(Settings::new(Side::Client)),
            traces: true,
            measuring: None,
            metrics: None,
            given: Given::default(),
        };
        config.resolve();
        config
    }
}
