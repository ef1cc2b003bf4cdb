//! The environment as a carrier, for batch jobs and for programs that are started from a command
//! line.

use std::{collections::BTreeMap, env, fmt, process::Command};

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
};

use crate::propagation::{Propagator, jaeger};

/// Environment variables [as a carrier][env]: `traceparent` is `TRACEPARENT`, `tracestate` is
/// `TRACESTATE`, `baggage` is `BAGGAGE`, and so for every other propagator.
///
/// A program reads them once, when it starts, and hands them to those it starts itself:
///
/// ```
/// use std::process::Command;
///
/// use opentelemetry::{Context, trace::TraceContextExt};
/// use tower_telemetry::propagation::{Environment, Propagator, TraceContext};
///
/// let w3c = Propagator::new(TraceContext::new());
/// # let started_by = Environment::from_iter([(
/// #     "TRACEPARENT",
/// #     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
/// # )]);
/// # /*
/// let started_by = Environment::of_process();
/// # */
/// let cx = started_by.extract(&w3c, &Context::new());
/// // ... as a part of which this program works, perhaps in a span of its own ...
/// # assert!(cx.span().span_context().is_remote());
///
/// let mut child = Command::new("date");
/// Environment::inject(&w3c, &cx, &mut child);
/// assert!(child.get_envs().any(|(name, _)| name == "TRACEPARENT"));
/// ```
///
/// Names are [in capitals][names], with `_` for everything but letters, digits and `_`, also before
/// a digit at the start. What is not Unicode is as good as absent, and so is what is empty. Of
/// [`Jaeger`](crate::propagation::Jaeger) there is the span alone: the keys of its baggage are in the
/// names, which does them no good here. Everybody who may look at a
/// process may read its environment, so baggage with secrets in it should not go there; a
/// propagator without [`Baggage`](crate::propagation::Baggage) writes none.
///
/// [env]: https://opentelemetry.io/docs/specs/otel/context/env-carriers/
/// [names]: https://opentelemetry.io/docs/specs/otel/context/env-carriers/
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process, as they are now.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = env::vars_os();
        variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Reads what `propagator` finds in the variables; gives `cx` back, with it if there was
    /// something.
    #[must_use]
    pub fn extract(&self, propagator: &Propagator, cx: &Context) -> Context {
        propagator.extract_with_context(cx, self)
    }

    /// Writes what `cx` holds into the environment of a program that is to be started, in place of
    /// what it would have had from this one. For tokio's command, `as_std_mut` gives this one.
    pub fn inject(propagator: &Propagator, cx: &Context, command: &mut Command) {
        propagator.for_each_name(|field| {
            command.env_remove(name(field));
        });
        let mut written = Self::default();
        propagator.inject_context(cx, &mut written);
        command.envs(written);
    }
}

/// The name that a field has in an environment.
fn name(field: &str) -> String {
    let mut name = String::with_capacity(field.len() + 1);
    if field.is_empty() || field.starts_with(|first: char| first.is_ascii_digit()) {
        name.push('_');
    }
    let allowed = |char: char| char.is_ascii_alphanumeric() || char == '_';
    name.extend(
        field.chars().map(|char| if allowed(char) { char.to_ascii_uppercase() } else { '_' }),
    );
    name
}

impl<N, V> FromIterator<(N, V)> for Environment
where
    N: Into<String>,
    V: Into<String>,
{
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self { variables: variables.collect() }
    }
}

impl IntoIterator for Environment {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    /// The variables, for anything else that starts a program.
    fn into_iter(self) -> Self::IntoIter {
        self.variables.into_iter()
    }
}

impl Extractor for Environment {
    fn get(&self, key: &str) -> Option<&str> {
        self.variables.get(&name(key)).map(String::as_str)
    }

    /// [Only names that a carrier has][keys]: a variable `traceparent` is none of ours.
    ///
    /// [keys]: https://opentelemetry.io/docs/specs/otel/context/env-carriers/
    fn keys(&self) -> Vec<&str> {
        self.variables.keys().filter(|known| name(known) == **known).map(String::as_str).collect()
    }
}

impl Injector for Environment {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() && !jaeger::is_baggage(key) {
            self.variables.insert(name(key), value);
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
