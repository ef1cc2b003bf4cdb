//! Where metrics go: what the code or the environment has asked for, until it is started.

use std::{any::type_name, fmt, sync::Arc};

use opentelemetry_sdk::{
    Resource,
    metrics::{Temporality, exporter::PushMetricExporter, reader::MetricReader},
};

#[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
use crate::sdk::destination::no_endpoint;
use crate::{
    error::BuildError,
    sdk::{
        destination::{Choice, chosen},
        env::Env,
        export::{exporter::Target, foreign::lent},
        metrics::{collected::Collected, reader::Reader, settings::Timing, stage::Stage},
        processor::member::{Member, Settings},
    },
};

/// One place to send metrics to, or to fetch them from, as it was asked for.
pub(super) enum Destination {
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    Otlp(crate::sdk::export::Otlp),
    Exporter(Target<Collected>, Temporality),
    Reader(&'static str, Arc<dyn MetricReader>),
}

/// The same, with nothing left that can fail but to start a thread.
pub(super) enum Ready {
    Exporter(Target<Collected>, Temporality, Settings),
    Reader(&'static str, Arc<dyn MetricReader>),
}

impl Destination {
    pub(super) fn exporter<E: PushMetricExporter>(exporter: E) -> Self {
        let temporality = exporter.temporality();
        Self::Exporter(lent(exporter), temporality)
    }

    pub(super) fn reader<R: MetricReader>(reader: R) -> Self {
        Self::Reader(type_name::<R>(), Arc::new(reader))
    }

    /// Whether it has the environment's settings for OTLP.
    pub(super) fn is_otlp(&self) -> bool {
        match self {
            #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
            Self::Otlp(_) => true,
            _ => false,
        }
    }

    #[cfg_attr(
        not(any(feature = "otlp-http", feature = "otlp-grpc")),
        expect(unused_variables, clippy::unnecessary_wraps)
    )]
    pub(super) fn resolve(
        self,
        temporality: Temporality,
        env: &mut Env,
    ) -> Result<Ready, BuildError> {
        Ok(match self {
            #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
            Self::Otlp(otlp) => {
                let signal = crate::sdk::export::otlp::signal::Signal::Metrics;
                let otlp = otlp.resolve(signal, env)?;
                let mut settings = otlp.describe();
                settings.push(("temporality", name(temporality).to_owned()));
                Ready::Exporter(otlp.metric_target(), temporality, settings)
            }
            Self::Exporter(target, temporality) => {
                let settings = vec![("temporality", name(temporality).to_owned())];
                Ready::Exporter(target, temporality, settings)
            }
            Self::Reader(name, reader) => Ready::Reader(name, reader),
        })
    }
}

impl Ready {
    pub(super) fn start(
        self,
        timing: Timing,
        resource: &Resource,
    ) -> Result<Member<Stage>, BuildError> {
        Ok(match self {
            Self::Exporter(target, temporality, settings) => {
                let name = target.name.clone();
                let Timing { interval, exports } = timing;
                let reader = Reader::start(target, temporality, interval, exports, resource)?;
                Member::new(name, settings, Stage::Ours(reader))
            }
            Self::Reader(name, reader) => {
                Member::new(name.to_owned(), Settings::new(), Stage::Foreign(reader))
            }
        })
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
            Self::Otlp(otlp) => otlp.fmt(f),
            Self::Exporter(target, _) => target.fmt(f),
            Self::Reader(name, _) => f.write_str(name),
        }
    }
}

fn name(temporality: Temporality) -> &'static str {
    match temporality {
        Temporality::Cumulative => "cumulative",
        Temporality::Delta => "delta",
        Temporality::LowMemory => "lowmemory",
        _ => "another",
    }
}

/// What [`OTEL_METRICS_EXPORTER`][selection] asks for; OTLP if it is silent.
///
/// [selection]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection
pub(super) fn from_env(env: &mut Env) -> Result<Vec<Destination>, BuildError> {
    match chosen(env, "OTEL_METRICS_EXPORTER", by_name) {
        Choice::Made(destinations) => Ok(destinations),
        Choice::Default => default(env),
    }
}

/// An exporter, or that there is to be none.
fn by_name(name: &str) -> Result<Option<Destination>, &'static str> {
    match name {
        "none" => Ok(None),
        #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
        "otlp" => Ok(Some(Destination::Otlp(crate::sdk::export::Otlp::new()))),
        #[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
        "otlp" => Err("needs the feature `otlp-http` or `otlp-grpc` of tower-telemetry"),
        "prometheus" => {
            Err("is a reader, which the code has to add, by `MetricSettings::with_reader`")
        }
        "console" | "logging" | "otlp/stdout" => Err(
            "is not built in for metrics; the code can add one, by `MetricSettings::with_exporter`",
        ),
        _ => Err("is no exporter of this version"),
    }
}

#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail without the feature")]
fn default(_: &mut Env) -> Result<Vec<Destination>, BuildError> {
    Ok(vec![Destination::Otlp(crate::sdk::export::Otlp::new())])
}

#[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
fn default(env: &mut Env) -> Result<Vec<Destination>, BuildError> {
    no_endpoint(env, ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
    Ok(Vec::new())
}
