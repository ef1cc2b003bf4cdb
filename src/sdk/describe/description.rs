//! `Description`: the configuration in force, for people to read.

use std::fmt;

use crate::{
    sdk::{
        Telemetry,
        describe::{hints, secrets},
        export::item::Items,
        processor::member::Settings,
    },
    text::legible,
};

/// The configuration in force, and what may be the matter with it.
///
/// [`Telemetry::describe`](crate::Telemetry::describe) gives it. `Display` prints it in lines that
/// are meant for people: what is in them may change with any version. No secret is shown: of
/// headers the names alone, of URLs no userinfo and no query, of the resource no value whose key
/// looks like that of a password, and no command line.
#[derive(Clone, Debug)]
pub struct Description {
    title: String,
    /// What it is about, and what there is to say. What comes several times in a row is printed
    /// once.
    lines: Vec<(&'static str, String)>,
    hints: Vec<String>,
}

impl Description {
    pub(crate) fn of(telemetry: &Telemetry) -> Self {
        let Telemetry { resource, configuration, propagator, instrumentation, .. } = telemetry;
        let said = |key: &'static str| match resource.get(&key.into()) {
            Some(value) => legible(&value.to_string()),
            None => "?".to_owned(),
        };
        let mut lines = Vec::new();
        let mut say = |what, said: String| lines.push((what, said));

        if let Some(disabled) = configuration.disabled {
            say("disabled", disabled.describe().to_owned());
        }
        say("service", said("service.name"));
        let mut attributes: Vec<_> = resource
            .iter()
            .filter(|(key, _)| key.as_str() != "service.name")
            .map(|(key, value)| secrets::attribute(key, value))
            .collect();
        attributes.sort_unstable();
        attributes.into_iter().for_each(|attribute| say("resource", attribute));
        if configuration.disabled.is_none() {
            say("sampler", legible(&telemetry.sampler.to_string()));
            let none = || "none".to_owned();
            say("tail sampling", configuration.tail_sampling.clone().unwrap_or_else(none));
            say("limits", configuration.limits.describe());
            say("batches", configuration.batch.describe(Items::Spans));
            settings("destination", telemetry.fan_out.settings(), &mut say);
            for exporter in telemetry.health().exporters() {
                say("spans", exporter.to_string());
            }
            #[cfg(feature = "metrics")]
            match &telemetry.meters {
                None => say("metrics", "not switched on".to_owned()),
                Some(meters) => {
                    meters.describe().into_iter().for_each(|said| say("metrics", said));
                    settings("metric reader", meters.readers(), &mut say);
                    for exporter in telemetry.health().metric_exporters() {
                        say("collections", exporter.to_string());
                    }
                }
            }
            #[cfg(feature = "logs")]
            match &telemetry.logs {
                None => say("logs", "not switched on".to_owned()),
                Some(logs) => {
                    let [limits, batches] = logs.describe();
                    say("log limits", limits);
                    say("log batches", batches);
                    settings("log destination", logs.fan_out.settings(), &mut say);
                    for exporter in telemetry.health().log_exporters() {
                        say("log records", exporter.to_string());
                    }
                }
            }
        }
        say("propagators", propagators(&format!("{propagator:?}")));
        for (what, is) in instrumentation.describe() {
            say("layers", format!("{what}: {}", legible(&is)));
        }
        let by = configuration.used.by();
        say("used", if by.is_empty() { "by nobody so far".to_owned() } else { by.join(", ") });
        for warning in &telemetry.warnings {
            say("warning", warning.to_string());
        }
        Self {
            title: format!(
                "{} {} on opentelemetry_sdk {}",
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                said("telemetry.sdk.version"),
            ),
            lines,
            hints: hints::of(telemetry),
        }
    }

    /// What may be the reason if no traces appear, and what to do about each: sentences, in the
    /// order in which to look. None, if nothing is to be seen that could be.
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_environment([("OTEL_SDK_DISABLED", "true")])
    ///     .build()?;
    /// let description = telemetry.describe();
    /// let hints: Vec<&str> = description.hints().collect();
    /// assert_eq!(hints, ["the SDK is disabled by OTEL_SDK_DISABLED: unset that variable"]);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn hints(&self) -> impl Iterator<Item = &str> {
        self.hints.iter().map(String::as_str)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hints = self.hints.iter().map(|hint| ("hint", hint));
        let lines = self.lines.iter().map(|(what, said)| (*what, said)).chain(hints);
        let width = lines.clone().map(|(what, _)| what.len()).max().unwrap_or_default();
        f.write_str(&self.title)?;
        let mut before = "";
        for (what, said) in lines {
            let shown = if what == before { "" } else { what };
            write!(f, "\n  {shown:width$}  {said}")?;
            before = what;
        }
        Ok(())
    }
}

/// Where a signal goes, and with which settings.
fn settings<'a>(
    what: &'static str,
    destinations: impl Iterator<Item = (&'a str, &'a Settings)>,
    say: &mut impl FnMut(&'static str, String),
) {
    for (destination, settings) in destinations {
        say(what, destination.to_owned());
        let width = settings.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
        for (setting, is) in settings {
            say(what, format!("  {setting:width$}  {is}"));
        }
    }
}

/// A list's `Debug`, without its brackets.
fn propagators(list: &str) -> String {
    match list.trim_start_matches('[').trim_end_matches(']') {
        "" => "none".to_owned(),
        names => legible(names),
    }
}
