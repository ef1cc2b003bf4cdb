//! Where spans go: what the code or the environment has asked for, until it is started.

use std::{any::type_name, fmt};

use opentelemetry_sdk::{
    Resource,
    trace::{SpanExporter, SpanProcessor},
};

#[cfg(feature = "console")]
use crate::sdk::export::ConsoleExporter;
use crate::{
    error::BuildError,
    sdk::{
        env::Env,
        export::{exporter::Target, foreign},
        processor::{
            batch::{processor::Batch, settings::Resolved},
            member::{Member, Stage},
        },
    },
};
#[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
use crate::{sdk::env::NotUnicode, text::without_secrets};

/// One place to send spans to, as it was asked for.
pub(super) enum Destination {
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    Otlp(crate::sdk::export::Otlp),
    Exporter(&'static str, Make),
    #[cfg(feature = "console")]
    Console(ConsoleExporter),
    Processor(&'static str, Box<dyn SpanProcessor>),
}

/// The same, with nothing left that can fail but to start a thread.
pub(super) enum Ready {
    Exporter(Make),
    #[cfg(feature = "console")]
    Console(ConsoleExporter),
    Processor(&'static str, Box<dyn SpanProcessor>),
}

/// The exporter trait cannot be an object, so the exporter is in here.
type Make = Box<dyn FnOnce(&Resource) -> Target + Send + Sync>;

impl Destination {
    pub(super) fn exporter<E: SpanExporter + 'static>(exporter: E) -> Self {
        let make = move |resource: &Resource| foreign::target(exporter, resource);
        Self::Exporter(type_name::<E>(), Box::new(make))
    }

    pub(super) fn processor<P: SpanProcessor + 'static>(processor: P) -> Self {
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
                let target = otlp.resolve(env)?.target();
                Ready::Exporter(Box::new(move |_| target))
            }
            Self::Exporter(_, make) => Ready::Exporter(make),
            #[cfg(feature = "console")]
            Self::Console(console) => Ready::Console(console),
            Self::Processor(name, processor) => Ready::Processor(name, processor),
        })
    }
}

impl Ready {
    pub(super) fn start(self, batch: Resolved, resource: &Resource) -> Result<Member, BuildError> {
        Ok(match self {
            Self::Exporter(make) => {
                let batch = Batch::start(make(resource), batch, resource)?;
                Member { name: batch.target().name.clone(), stage: Stage::Batch(Box::new(batch)) }
            }
            #[cfg(feature = "console")]
            Self::Console(console) => Member {
                name: type_name::<ConsoleExporter>().to_owned(),
                stage: Stage::Console(console),
            },
            Self::Processor(name, processor) => {
                Member { name: name.to_owned(), stage: Stage::Foreign(processor) }
            }
        })
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
            Self::Otlp(otlp) => otlp.fmt(f),
            Self::Exporter(name, _) => f.write_str(name),
            #[cfg(feature = "console")]
            Self::Console(console) => console.fmt(f),
            Self::Processor(name, _) => f.write_str(name),
        }
    }
}

/// What [`OTEL_TRACES_EXPORTER`][selection] asks for; OTLP if it is silent.
///
/// [selection]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection
pub(super) fn from_env(env: &mut Env) -> Result<Vec<Destination>, BuildError> {
    const VARIABLE: &str = "OTEL_TRACES_EXPORTER";
    let Some(list) = env.get(VARIABLE) else {
        return default(env);
    };
    let mut destinations = Vec::new();
    let mut seen = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = name.to_ascii_lowercase();
        // What is named twice is still wanted once.
        if seen.contains(&known) {
            continue;
        }
        match by_name(&known) {
            Ok(destination) => destinations.extend(destination),
            Err(reason) => env.warn(VARIABLE, name, format!("{reason}; it was skipped")),
        }
        seen.push(known);
    }
    Ok(destinations)
}

fn by_name(name: &str) -> Result<Option<Destination>, &'static str> {
    match name {
        "none" => Ok(None),
        #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
        "otlp" => Ok(Some(Destination::Otlp(crate::sdk::export::Otlp::new()))),
        #[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
        "otlp" => Err("needs the feature `otlp-http` or `otlp-grpc` of tower-telemetry"),
        #[cfg(feature = "console")]
        "console" => Ok(Some(Destination::Console(ConsoleExporter::stdout()))),
        #[cfg(not(feature = "console"))]
        "console" => Err("needs the feature `console` of tower-telemetry"),
        _ => Err("is no exporter of this version"),
    }
}

#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail without the feature")]
fn default(_: &mut Env) -> Result<Vec<Destination>, BuildError> {
    Ok(vec![Destination::Otlp(crate::sdk::export::Otlp::new())])
}

/// Without support for OTLP there is no default, but whoever sets an endpoint expects spans there.
#[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
fn default(env: &mut Env) -> Result<Vec<Destination>, BuildError> {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        let endpoint = match env.read(variable) {
            Ok(None) => continue,
            Ok(Some(endpoint)) => without_secrets(&endpoint),
            Err(NotUnicode) => "REDACTED".to_owned(),
        };
        let reason = "OTLP is not built in; enable the feature `otlp-http` or `otlp-grpc` of tower-telemetry";
        return Err(BuildError::new(variable, endpoint, reason));
    }
    Ok(Vec::new())
}
