//! Where log records go: what the code or the environment has asked for, until it is started.

use std::{any::type_name, fmt};

use opentelemetry_sdk::{
    Resource,
    logs::{LogExporter, LogProcessor},
};

use crate::{
    error::BuildError,
    sdk::{
        destination::{self, Choice, told},
        env::Env,
        export::{exporter::Target, foreign},
        logs::{fan_out::LogStage, record::LogData},
        processor::{
            batch::{processor::Batch, settings::Resolved},
            member::{Member, Settings},
        },
    },
};

pub(in crate::sdk) const VARIABLE: &str = "OTEL_LOGS_EXPORTER";

/// One place to send log records to, as it was asked for.
pub(super) enum LogDestination {
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    Otlp(crate::sdk::export::Otlp),
    Exporter(&'static str, Make),
    Processor(&'static str, Box<dyn LogProcessor>),
}

/// The same, with nothing left that can fail but to start a thread.
pub(super) enum Ready {
    Exporter(String, Settings, Make),
    Processor(&'static str, Box<dyn LogProcessor>),
}

/// The exporter trait cannot be an object, so the exporter is in here.
type Make = Box<dyn FnOnce(&Resource) -> Target<LogData> + Send + Sync>;

impl LogDestination {
    pub(super) fn exporter<E: LogExporter + 'static>(exporter: E) -> Self {
        let make = move |resource: &Resource| foreign::log_target(exporter, resource);
        Self::Exporter(type_name::<E>(), Box::new(make))
    }

    pub(super) fn processor<P: LogProcessor + 'static>(processor: P) -> Self {
        Self::Processor(type_name::<P>(), Box::new(processor))
    }

    #[cfg_attr(
        not(any(feature = "otlp-http", feature = "otlp-grpc")),
        expect(unused_variables, clippy::unnecessary_wraps)
    )]
    pub(super) fn resolve(self, env: &mut Env) -> Result<Ready, BuildError> {
        Ok(match self {
            #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
            Self::Otlp(otlp) => {
                let otlp = otlp.resolve(crate::sdk::export::otlp::signal::Signal::Logs, env)?;
                let settings = otlp.describe();
                let target = otlp.log_target();
                Ready::Exporter(target.name.clone(), settings, Box::new(move |_| target))
            }
            Self::Exporter(name, make) => Ready::Exporter(name.to_owned(), Settings::new(), make),
            Self::Processor(name, processor) => Ready::Processor(name, processor),
        })
    }
}

impl Ready {
    pub(super) fn start(
        self,
        batch: Resolved,
        resource: &Resource,
    ) -> Result<Member<LogStage>, BuildError> {
        let (name, settings, stage) = match self {
            Self::Exporter(name, settings, make) => {
                let target = told(&name, || make(resource))?;
                let batch = Batch::start(target, batch, resource)?;
                (name, settings, LogStage::Batch(Box::new(batch)))
            }
            Self::Processor(name, mut processor) => {
                told(name, || processor.set_resource(resource))?;
                (name.to_owned(), Settings::new(), LogStage::Foreign(processor))
            }
        };
        Ok(Member::new(name, settings, stage))
    }
}

impl fmt::Debug for LogDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
            Self::Otlp(otlp) => otlp.fmt(f),
            Self::Exporter(name, _) | Self::Processor(name, _) => f.write_str(name),
        }
    }
}

/// What [`OTEL_LOGS_EXPORTER`][selection] asks for; OTLP if it is silent.
///
/// [selection]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection
pub(super) fn from_env(env: &mut Env) -> Result<Vec<LogDestination>, BuildError> {
    match destination::chosen(env, VARIABLE, by_name) {
        Choice::Made(destinations) => Ok(destinations),
        Choice::Default => default(env),
    }
}

/// An exporter, or that there is to be none.
fn by_name(name: &str) -> Result<Option<LogDestination>, &'static str> {
    match name {
        "none" => Ok(None),
        #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
        "otlp" => Ok(Some(LogDestination::Otlp(crate::sdk::export::Otlp::new()))),
        #[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
        "otlp" => Err("needs the feature `otlp-http` or `otlp-grpc` of tower-telemetry"),
        "console" | "logging" => {
            Err("is not built in, since `fmt` of tracing-subscriber prints what is logged")
        }
        "otlp/stdout" => Err("is not built in"),
        _ => Err("is no exporter of this version"),
    }
}

#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail without the feature")]
fn default(_: &mut Env) -> Result<Vec<LogDestination>, BuildError> {
    Ok(vec![LogDestination::Otlp(crate::sdk::export::Otlp::new())])
}

#[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
fn default(env: &mut Env) -> Result<Vec<LogDestination>, BuildError> {
    destination::no_endpoint(
        env,
        ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
    )?;
    Ok(Vec::new())
}
