//! Where spans go: what the code or the environment has asked for, until it is started.

use std::{any::type_name, fmt};

use opentelemetry_sdk::{
    Resource,
    trace::{SpanExporter, SpanProcessor},
};

#[cfg(feature = "console")]
use crate::sdk::export::ConsoleExporter;
use crate::{
    contained::contained,
    error::BuildError,
    sdk::{
        env::Env,
        export::{exporter::Target, foreign},
        processor::{
            batch::{processor::Batch, settings::Resolved},
            member::{Member, Settings, Stage},
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
    Exporter(String, Settings, Make),
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
                let otlp = otlp.resolve(crate::sdk::export::otlp::signal::Signal::Traces, env)?;
                let settings = otlp.describe();
                let target = otlp.target();
                Ready::Exporter(target.name.clone(), settings, Box::new(move |_| target))
            }
            Self::Exporter(name, make) => Ready::Exporter(name.to_owned(), Settings::new(), make),
            #[cfg(feature = "console")]
            Self::Console(console) => Ready::Console(console),
            Self::Processor(name, processor) => Ready::Processor(name, processor),
        })
    }
}

impl Ready {
    pub(super) fn start(self, batch: Resolved, resource: &Resource) -> Result<Member, BuildError> {
        let (name, settings, stage) = match self {
            Self::Exporter(name, settings, make) => {
                let target = told(&name, || make(resource))?;
                let batch = Batch::start(target, batch, resource)?;
                (name, settings, Stage::Batch(Box::new(batch)))
            }
            #[cfg(feature = "console")]
            Self::Console(mut console) => {
                SpanProcessor::set_resource(&mut console, resource);
                let name = type_name::<ConsoleExporter>().to_owned();
                (name, Settings::new(), Stage::Console(console))
            }
            Self::Processor(name, mut processor) => {
                told(name, || processor.set_resource(resource))?;
                (name.to_owned(), Settings::new(), Stage::Foreign(processor))
            }
        };
        Ok(Member::new(name, settings, stage))
    }
}

/// Tells what is the user's of the resource.
pub(super) fn told<T>(name: &str, tell: impl FnOnce() -> T) -> Result<T, BuildError> {
    contained(tell)
        .ok_or_else(|| BuildError::new("destination", name, "panicked when told of the resource"))
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
    match chosen(env, "OTEL_TRACES_EXPORTER", by_name) {
        Choice::Made(destinations) => Ok(destinations),
        Choice::Default => default(env),
    }
}

/// What a variable says of where a signal goes.
pub(super) enum Choice<D> {
    /// Maybe to nobody.
    Made(Vec<D>),
    Default,
}

/// What a list of exporters asks for. [An unknown entry is left out][enum], and if none is known it
/// is as if the variable were not set. So is `none` that is not alone.
///
/// [enum]: https://opentelemetry.io/docs/specs/otel/configuration/common/#enum
pub(super) fn chosen<D>(
    env: &mut Env,
    variable: &'static str,
    by_name: impl Fn(&str) -> Result<Option<D>, &'static str>,
) -> Choice<D> {
    let Some(list) = env.get(variable) else {
        return Choice::Default;
    };
    let mut destinations = Vec::new();
    let mut none = None;
    let mut seen = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = name.to_ascii_lowercase();
        // What is named twice is still wanted once.
        if seen.contains(&known) {
            continue;
        }
        match by_name(&known) {
            Ok(Some(destination)) => destinations.push(destination),
            Ok(None) => none = Some(name),
            Err(reason) => env.warn(variable, name, format!("{reason}; it was skipped")),
        }
        seen.push(known);
    }
    match none {
        None if destinations.is_empty() => Choice::Default,
        Some(none) if !destinations.is_empty() => {
            env.warn(variable, none, "cannot be together with others; it was skipped");
            Choice::Made(destinations)
        }
        _ => Choice::Made(destinations),
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
        #[cfg(feature = "console")]
        "console" => Ok(Some(Destination::Console(ConsoleExporter::stdout()))),
        #[cfg(not(feature = "console"))]
        "console" => Err("needs the feature `console` of tower-telemetry"),
        // The specification's, too.
        "logging" => Err("is an old name, and no longer to be used; `console` is the new one"),
        "zipkin" | "otlp/stdout" => Err("is not built in"),
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
    no_endpoint(env, ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
    Ok(Vec::new())
}

/// Without support for OTLP there is no default, but whoever sets an endpoint expects something
/// there.
#[cfg(not(any(feature = "otlp-http", feature = "otlp-grpc")))]
pub(super) fn no_endpoint(env: &mut Env, variables: [&'static str; 2]) -> Result<(), BuildError> {
    for variable in variables {
        let endpoint = match env.read(variable) {
            Ok(None) => continue,
            Ok(Some(endpoint)) => without_secrets(&endpoint),
            Err(NotUnicode) => "REDACTED".to_owned(),
        };
        let reason = "OTLP is not built in; enable the feature `otlp-http` or `otlp-grpc` of tower-telemetry";
        return Err(BuildError::new(variable, endpoint, reason));
    }
    Ok(())
}
