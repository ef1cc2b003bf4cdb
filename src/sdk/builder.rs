//! `TelemetryBuilder`: what was asked for, looked at as a whole before anything starts.

use std::{collections::HashMap, sync::Arc};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter, SpanProcessor};
use tracing::dispatcher::{Dispatch, with_default};

#[cfg(feature = "logs")]
use crate::sdk::logs::LogSettings;
#[cfg(feature = "metrics")]
use crate::sdk::{
    metrics::{self, MetricSettings},
    self_metrics,
};
use crate::{
    error::BuildError,
    instrumentation::Instrumentation,
    propagation::Propagator,
    sdk::{
        Limits, ResourceBuilder, Sampler, SamplerBuilder, Telemetry, config_file,
        describe::{
            configuration::Configuration,
            used::{Noting, Used},
        },
        destination::{self, Destination},
        disabled::{self, Disabled},
        env::Env,
        export::item::Items,
        processor::{
            batch::BatchSettings,
            fan_out::{FanOut, Handle},
        },
        propagators,
        tail::TailSampling,
    },
};

/// Builds a [`Telemetry`]. What is not set comes from the [environment](crate::sdk#environment),
/// or else is the default.
#[must_use]
#[derive(Debug, Default)]
pub struct TelemetryBuilder {
    service_name: Option<String>,
    resource: ResourceBuilder,
    sampler: Option<SamplerBuilder>,
    propagators: Option<Result<Propagator, BuildError>>,
    destinations: Vec<Destination>,
    batch: BatchSettings,
    tail_sampling: Option<TailSampling>,
    limits: Limits,
    #[cfg(feature = "metrics")]
    metrics: Option<MetricSettings>,
    #[cfg(feature = "logs")]
    logs: Option<LogSettings>,
    disabled: bool,
    env: Env,
}

impl TelemetryBuilder {
    /// Sets the service's name, as [`ResourceBuilder::with_service_name`] does, over the one that a
    /// resource has.
    pub fn with_service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// Sets the resource. Default: what the environment says, and a service name of
    /// `unknown_service:` with the executable's name.
    pub fn with_resource(mut self, resource: ResourceBuilder) -> Self {
        self.resource = resource;
        self
    }

    /// Sets the sampler. Default: `OTEL_TRACES_SAMPLER`, or else every trace, after its parent's
    /// decision.
    pub fn with_sampler(mut self, sampler: SamplerBuilder) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// Sets the propagator, which may be [several](Propagator::and). Default: `OTEL_PROPAGATORS`,
    /// or else [`TraceContext`](crate::propagation::TraceContext) and
    /// [`Baggage`](crate::propagation::Baggage).
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, propagation::{Propagator, TraceContext, XRay}};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_propagator(Propagator::new(TraceContext::new()).and(XRay::new()))
    ///     .build()?;
    /// assert_eq!(format!("{:?}", telemetry.propagator()), "[tracecontext, xray]");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_propagator<P>(mut self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.propagators = Some(Ok(Propagator::new(propagator)));
        self
    }

    /// The same by names, which are those of [`Propagator::named`] and of `OTEL_PROPAGATORS`. A
    /// name that is not known is an error of [`build`](Self::build).
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry =
    ///     Telemetry::builder().with_propagators(["tracecontext", "b3"]).build()?;
    /// assert_eq!(format!("{:?}", telemetry.propagator()), "[tracecontext, b3]");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_propagators<N>(mut self, names: impl IntoIterator<Item = N>) -> Self
    where
        N: AsRef<str>,
    {
        self.propagators = Some(Propagator::named(names));
        self
    }

    /// Exports over OTLP.
    ///
    /// This and the methods after it say where spans go. They add up, and once one of them is
    /// called, `OTEL_TRACES_EXPORTER` is not asked. If none is, it decides; its default is OTLP.
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    pub fn with_otlp(mut self, otlp: crate::sdk::export::Otlp) -> Self {
        self.destinations.push(Destination::Otlp(otlp));
        self
    }

    /// Prints each trace as a tree.
    #[cfg(feature = "console")]
    pub fn with_console(mut self, console: crate::sdk::export::ConsoleExporter) -> Self {
        self.destinations.push(Destination::Console(console));
        self
    }

    /// Exports with `exporter`, behind a batch processor.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::InMemorySpanExporter;
    /// use tower_telemetry::Telemetry;
    ///
    /// let exporter = InMemorySpanExporter::default();
    /// let telemetry = Telemetry::builder().with_span_exporter(exporter).build()?;
    /// assert!(telemetry.destinations().next().unwrap().ends_with("InMemorySpanExporter"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_span_exporter<E: SpanExporter + 'static>(mut self, exporter: E) -> Self {
        self.destinations.push(Destination::exporter(exporter));
        self
    }

    /// Sets how spans wait for each exporter. Default: the environment's `OTEL_BSP_*`, or else the
    /// specification's defaults.
    pub fn with_batch(mut self, batch: BatchSettings) -> Self {
        self.batch = batch;
        self
    }

    /// Hands spans to `processor`: when they start, and when they have ended, also those that
    /// record without being sampled. [Tail sampling](Self::with_tail_sampling) takes none of them
    /// away.
    pub fn with_span_processor<P: SpanProcessor + 'static>(mut self, processor: P) -> Self {
        self.destinations.push(Destination::processor(processor));
        self
    }

    /// Keeps requests that the sampler has not chosen, once they have turned out to be worth it.
    /// Default: none.
    ///
    /// So everything is recorded, as with
    /// [`with_always_record`](SamplerBuilder::with_always_record), but for what a
    /// [rule](crate::sdk::sampler::Rule::drop) drops, and all below that.
    ///
    /// It holds spans in front of everything that exports or prints. What is
    /// [handed to a processor](Self::with_span_processor) is handed on as before; a processor that
    /// is to be behind it goes in with [`in_front_of`](TailSampling::in_front_of).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_telemetry::{SamplerBuilder, Telemetry, sdk::tail::TailSampling};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_sampler(SamplerBuilder::new().with_ratio(0.01))
    ///     .with_tail_sampling(TailSampling::new().with_slower_than(Duration::from_secs(1)))
    ///     .build()?;
    /// assert!(telemetry.tail_sampling().is_some());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_tail_sampling(mut self, sampling: TailSampling) -> Self {
        self.tail_sampling = Some(sampling);
        self
    }

    /// Sets how much a span may hold. Default: what the environment says, or else the
    /// specification's limits; see [`Limits`].
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::Limits};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_environment([("OTEL_SPAN_EVENT_COUNT_LIMIT", "16")])
    ///     .with_limits(Limits::new().with_link_count(8))
    ///     .build()?;
    /// assert!(telemetry.describe().to_string().contains("16 events, 8 links a span"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Switches metrics on, with these settings: the telemetry has a
    /// [meter provider](Telemetry::meter_provider), which layers that are given it measure with, and
    /// what is measured is collected and exported. Default: off, whatever the environment says.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_environment([("OTEL_METRIC_EXPORT_INTERVAL", "10000")])
    ///     .with_metrics(MetricSettings::new())
    ///     .build()?;
    /// assert!(telemetry.describe().to_string().contains("every 10s"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(feature = "metrics")]
    pub fn with_metrics(mut self, metrics: MetricSettings) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Switches logs on, with these settings: what the [layer](Telemetry::log_layer) of this
    /// telemetry makes of `tracing`'s events is exported. Default: off, whatever the environment
    /// says.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::logs::LogSettings};
    ///
    /// let telemetry = Telemetry::builder().with_logs(LogSettings::new()).build()?;
    /// let destinations: Vec<&str> = telemetry.log_destinations().collect();
    /// assert_eq!(destinations, ["OTLP to localhost:4318/v1/logs"]);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(feature = "logs")]
    pub fn with_logs(mut self, logs: LogSettings) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Switches everything off but the propagators, as `OTEL_SDK_DISABLED=true` does, which the
    /// code cannot take back. Default: that variable, or else on.
    ///
    /// Then no thread is started, nothing is exported, and there are no
    /// [destinations](Telemetry::destinations). Layers with such a telemetry, or with the global
    /// provider that it [sets](Telemetry::set_global), make no spans, and take a caller's context
    /// on to whatever is called, so that its trace [goes
    /// on](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration)
    /// as if this service were none of it.
    ///
    /// Exporters, batches, limits and tail sampling are not looked at, neither in code nor in the
    /// environment, so nothing of them can fail the build: a program that is switched off starts.
    /// The rest is judged as ever.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::export::Otlp};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_sdk_disabled()
    ///     .with_otlp(Otlp::new().with_endpoint("to be said"))
    ///     .build()?;
    /// assert_eq!(telemetry.destinations().next(), None);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_sdk_disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Reads these variables in place of the process's environment. With none it is as if the
    /// environment were empty.
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_environment([("OTEL_SERVICE_NAME", "shop"), ("OTEL_TRACES_SAMPLER", "sometimes")])
    ///     .build()?;
    /// assert_eq!(telemetry.warnings()[0].variable(), "OTEL_TRACES_SAMPLER");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_environment<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.env = Env::fixed(variables.collect());
        self
    }

    /// Builds the telemetry and starts its exporters. Nothing becomes global, and no network
    /// connection is made.
    ///
    /// # Errors
    ///
    /// A setting from code cannot be used, or an endpoint from the environment cannot. The error
    /// names setting and value; nothing has been started.
    pub fn build(self) -> Result<Telemetry, BuildError> {
        let Self {
            service_name,
            mut resource,
            sampler,
            propagators,
            mut destinations,
            mut batch,
            mut tail_sampling,
            limits,
            #[cfg(feature = "metrics")]
            metrics,
            #[cfg(feature = "logs")]
            logs,
            disabled,
            mut env,
        } = self;
        if let Some(name) = service_name {
            resource = resource.with_service_name(name);
        }
        config_file::warn(&mut env);
        let disabled = Disabled::find(disabled, &mut env);
        if disabled.is_some() {
            (destinations, batch, tail_sampling) = (Vec::new(), BatchSettings::new(), None);
        } else if destinations.is_empty() {
            destinations = destination::from_env(&mut env)?;
        }
        let resource = resource.resolve(&mut env)?;
        let sampler = sampler.unwrap_or_else(|| SamplerBuilder::from_env(&mut env));
        let tail_settings = tail_sampling.as_ref().map(|settings| format!("{settings:?}"));
        let tail = tail_sampling.map(TailSampling::build).transpose()?;
        // Only what is recorded can be kept.
        let sampler = Sampler::new(sampler, tail.is_some())?;
        let propagator = propagators.unwrap_or_else(|| Ok(propagators::from_env(&mut env)))?;
        let (instrumentation, warnings) = Instrumentation::read(|variable| env.get(variable));
        warnings.into_iter().for_each(|warning| env.found(warning));
        // What is switched off asks for no more.
        let mut nothing = Env::fixed(HashMap::new());
        let asked = if disabled.is_some() { &mut nothing } else { &mut env };
        let limits = limits.resolve(asked);
        let batch = batch.resolve(Items::Spans, asked)?;
        let mut not_switched_on = Vec::new();
        #[cfg(feature = "metrics")]
        let metrics_are_on = metrics.is_some();
        #[cfg(not(feature = "metrics"))]
        let metrics_are_on = false;
        if !metrics_are_on && is_asked_for(asked, "OTEL_METRICS_EXPORTER") {
            not_switched_on.push(METRICS_ARE_OFF);
        }
        #[cfg(feature = "metrics")]
        let metrics = match disabled {
            Some(_) => None,
            None => metrics.map(|metrics| metrics.resolve(asked)).transpose()?,
        };
        #[cfg(feature = "logs")]
        let logs_are_on = logs.is_some();
        #[cfg(not(feature = "logs"))]
        let logs_are_on = false;
        if !logs_are_on && is_asked_for(asked, "OTEL_LOGS_EXPORTER") {
            not_switched_on.push(LOGS_ARE_OFF);
        }
        #[cfg(feature = "logs")]
        let logs = match disabled {
            Some(_) => None,
            None => logs.map(|logs| logs.resolve(asked)).transpose()?,
        };
        let ready = destinations
            .into_iter()
            .map(|destination| destination.resolve(asked))
            .collect::<Result<Vec<_>, _>>()?;
        let (decides, counts) = match disabled {
            Some(_) => (disabled::sampler()?, disabled::LIMITS),
            None => (sampler.clone(), limits.counts),
        };

        // No setting is bad: from here on threads start. If one cannot, those before it end.
        let members = ready
            .into_iter()
            .map(|ready| ready.start(batch, &resource))
            .collect::<Result<Vec<_>, _>>()?;
        #[cfg(feature = "logs")]
        let logs = logs.map(|logs| logs.start(&resource)).transpose()?;
        let fan_out = FanOut::new(members, tail);
        #[cfg(feature = "metrics")]
        let meters = match metrics {
            Some(metrics) => {
                let own = metrics.own;
                let meters = metrics.start(&resource)?;
                if own {
                    self_metrics::register(&fan_out, &meters.provider);
                    #[cfg(feature = "logs")]
                    if let Some(logs) = &logs {
                        self_metrics::register(&logs.fan_out, &meters.provider);
                    }
                }
                Some(meters)
            }
            None => metrics_are_on.then(|| metrics::nothing(&resource)),
        };
        let used = Arc::<Used>::default();
        let handle = Handle { fan_out: Arc::clone(&fan_out), value_length: limits.value_length };
        // The SDK looks into the process's environment by itself and logs what it finds wrong
        // there: that has been judged above, or is not the environment that was asked for.
        let provider = with_default(&Dispatch::none(), SdkTracerProvider::builder)
            .with_resource(resource.clone())
            .with_sampler(Noting { sampler: decides, used: Arc::clone(&used) })
            .with_span_limits(counts)
            .with_span_processor(handle)
            .build();
        Ok(Telemetry {
            provider,
            fan_out,
            #[cfg(feature = "logs")]
            logs,
            resource,
            sampler,
            propagator,
            instrumentation,
            warnings: env.into_warnings(),
            configuration: Configuration {
                disabled,
                limits,
                batch,
                tail_sampling: tail_settings,
                used,
                not_switched_on,
            },
            #[cfg(feature = "metrics")]
            meters,
        })
    }
}

/// Whether an exporter is named for a signal that the code has not switched on.
fn is_asked_for(env: &mut Env, variable: &'static str) -> bool {
    env.get(variable).is_some_and(|list| !list.eq_ignore_ascii_case("none"))
}

const METRICS_ARE_OFF: &str = if cfg!(feature = "metrics") {
    "OTEL_METRICS_EXPORTER is set, and metrics are not switched on: call \
     `with_metrics(MetricSettings::new())`"
} else {
    "OTEL_METRICS_EXPORTER is set, and metrics are not built in: turn on the feature `metrics` of \
     tower-telemetry, and call `with_metrics(MetricSettings::new())`"
};

const LOGS_ARE_OFF: &str = if cfg!(feature = "logs") {
    "OTEL_LOGS_EXPORTER is set, and logs are not switched on: call `with_logs(LogSettings::new())`"
} else {
    "OTEL_LOGS_EXPORTER is set, and logs are not built in: turn on the feature `logs` of \
     tower-telemetry, and call `with_logs(LogSettings::new())`"
};
