//! Where spans go: what the code or the environment has asked for, until it is started.

use std::{any::type_name, fmt, sync::Arc};

use opentelemetry_sdk::trace::{SpanExporter, SpanProcessor};

#[cfg(feature = "console")]
use crate::sdk::export::ConsoleExporter;
use crate::{
    error::BuildError,
    sdk::{
        env::Env,
        export::ledger::Ledger,
        processor::{
            batch::BatchSettings,
            fan_out::{Member, Stage},
        },
    },
};
#[cfg(not(feature = "otlp-http"))]
use crate::{sdk::env::NotUnicode, text::without_secrets};

/// One place to send spans to, as it was asked for.
pub(super) enum Destination {
    #[cfg(feature = "otlp-http")]
    Otlp(crate::sdk::export::Otlp),
    Exporter(Start),
    #[cfg(feature = "console")]
    Console(ConsoleExporter),
    Processor(&'static str, Box<dyn SpanProcessor>),
}

/// The same, with nothing left that can fail.
pub(super) enum Ready {
    Exporter(Start),
    #[cfg(feature = "console")]
    Console(ConsoleExporter),
    Processor(&'static str, Box<dyn SpanProcessor>),
}

/// Puts a batch processor in front of an exporter. The exporter trait cannot be an object, so the
/// exporter is in here.
pub(super) struct Start {
    ledger: Arc<Ledger>,
    start: Box<dyn FnOnce(BatchSettings, Arc<Ledger>) -> Box<dyn SpanProcessor> + Send + Sync>,
}

impl Start {
    fn new<E: SpanExporter + 'static>(ledger: Arc<Ledger>, exporter: E) -> Self {
        Self { ledger, start: Box::new(move |batch, ledger| batch.processor(exporter, ledger)) }
    }
}

impl Destination {
    pub(super) fn exporter<E: SpanExporter + 'static>(exporter: E) -> Self {
        Self::Exporter(Start::new(Ledger::new(type_name::<E>()), exporter))
    }

    pub(super) fn processor<P: SpanProcessor + 'static>(processor: P) -> Self {
        Self::Processor(type_name::<P>(), Box::new(processor))
    }

    #[cfg_attr(not(feature = "otlp-http"), expect(unused_variables, clippy::unnecessary_wraps))]
    pub(super) fn resolve(self, env: &mut Env) -> Result<Ready, BuildError> {
        Ok(match self {
            #[cfg(feature = "otlp-http")]
            Self::Otlp(otlp) => {
                let otlp = otlp.resolve(env)?;
                let ledger = Ledger::new(otlp.name());
                Ready::Exporter(Start::new(Arc::clone(&ledger), otlp.build(ledger)?))
            }
            Self::Exporter(start) => Ready::Exporter(start),
            #[cfg(feature = "console")]
            Self::Console(console) => Ready::Console(console),
            Self::Processor(name, processor) => Ready::Processor(name, processor),
        })
    }
}

impl Ready {
    pub(super) fn start(self, batch: BatchSettings) -> Member {
        match self {
            Self::Exporter(Start { ledger, start }) => Member {
                name: ledger.exporter().to_owned(),
                stage: Stage::Behind(start(batch, Arc::clone(&ledger))),
                ledger: Some(ledger),
            },
            #[cfg(feature = "console")]
            Self::Console(console) => Member {
                name: type_name::<ConsoleExporter>().to_owned(),
                stage: Stage::Console(console),
                ledger: None,
            },
            Self::Processor(name, processor) => {
                Member { name: name.to_owned(), stage: Stage::Raw(processor), ledger: None }
            }
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "otlp-http")]
            Self::Otlp(otlp) => otlp.fmt(f),
            Self::Exporter(start) => f.write_str(start.ledger.exporter()),
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
        #[cfg(feature = "otlp-http")]
        "otlp" => Ok(Some(Destination::Otlp(crate::sdk::export::Otlp::new()))),
        #[cfg(not(feature = "otlp-http"))]
        "otlp" => Err("needs the feature `otlp-http` of tower-telemetry"),
        #[cfg(feature = "console")]
        "console" => Ok(Some(Destination::Console(ConsoleExporter::stdout()))),
        #[cfg(not(feature = "console"))]
        "console" => Err("needs the feature `console` of tower-telemetry"),
        _ => Err("is no exporter of this version"),
    }
}

#[cfg(feature = "otlp-http")]
#[expect(clippy::unnecessary_wraps, reason = "it can fail without the feature")]
fn default(_: &mut Env) -> Result<Vec<Destination>, BuildError> {
    Ok(vec![Destination::Otlp(crate::sdk::export::Otlp::new())])
}

/// Without support for OTLP there is no default, but whoever sets an endpoint expects spans there.
#[cfg(not(feature = "otlp-http"))]
fn default(env: &mut Env) -> Result<Vec<Destination>, BuildError> {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        let endpoint = match env.read(variable) {
            Ok(None) => continue,
            Ok(Some(endpoint)) => without_secrets(&endpoint),
            Err(NotUnicode) => "REDACTED".to_owned(),
        };
        let reason = "OTLP is not built in; enable the feature `otlp-http` of tower-telemetry";
        return Err(BuildError::new(variable, endpoint, reason));
    }
    Ok(Vec::new())
}
