//! The environment: what it says, and what it says wrong.

use std::{
    borrow::Cow,
    collections::HashMap,
    env::{self, VarError},
    fmt,
    str::FromStr,
};

use tracing::warn;

use crate::error::Warning;

/// The variables, by the [specification's rules], and the warnings they have given.
///
/// [specification's rules]: https://opentelemetry.io/docs/specs/otel/configuration/common/
#[derive(Default)]
pub(crate) struct Env {
    /// These and no others; `None` is the process's own.
    fixed: Option<HashMap<String, String>>,
    warnings: Vec<Warning>,
}

/// A variable that is set to what is no text. Its value is not repeated: it may be a secret.
pub(crate) struct NotUnicode;

impl Env {
    pub(crate) fn process() -> Self {
        Self::default()
    }

    pub(crate) fn fixed(variables: HashMap<String, String>) -> Self {
        Self { fixed: Some(variables), warnings: Vec::new() }
    }

    /// The variable's value, trimmed. [Empty is unset][empty].
    ///
    /// [empty]: https://opentelemetry.io/docs/specs/otel/configuration/common/#empty-value
    pub(crate) fn get(&mut self, variable: &'static str) -> Option<String> {
        self.read(variable).unwrap_or_else(|NotUnicode| {
            self.warn(variable, "REDACTED", "is not UTF-8 and was not used");
            None
        })
    }

    /// The same, where a value that cannot be read is not one to go on without.
    pub(crate) fn read(&self, variable: &str) -> Result<Option<String>, NotUnicode> {
        #[cfg(test)]
        asked::note(variable);
        let value = match &self.fixed {
            Some(variables) => variables.get(variable).cloned(),
            None => match env::var(variable) {
                Ok(value) => Some(value),
                Err(VarError::NotPresent) => None,
                Err(VarError::NotUnicode(_)) => return Err(NotUnicode),
            },
        };
        Ok(value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()))
    }

    /// The first of the variables that is set, with its value.
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    pub(crate) fn first(&mut self, variables: [&'static str; 2]) -> Option<(&'static str, String)> {
        variables.into_iter().find_map(|variable| Some((variable, self.get(variable)?)))
    }

    /// Whether it is [`true`][boolean], in whichever case. What is neither that nor `false` is a
    /// warning, and taken for `false`.
    ///
    /// [boolean]: https://opentelemetry.io/docs/specs/otel/configuration/common/#boolean
    pub(crate) fn is_true(&mut self, variable: &'static str) -> bool {
        self.get(variable).is_some_and(|value| self.truth(variable, value))
    }

    /// The same, of a value that is known already.
    pub(crate) fn truth(&mut self, variable: &'static str, value: String) -> bool {
        let is_true = value.eq_ignore_ascii_case("true");
        if !is_true && !value.eq_ignore_ascii_case("false") {
            self.warn(variable, value, "must be true or false; false is used");
        }
        is_true
    }

    /// A number that `accept` takes. What it does not take is a warning that says what it `must`
    /// be, and `None`.
    pub(crate) fn number<T: FromStr>(
        &mut self,
        variable: &'static str,
        must: &'static str,
        accept: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let value = self.get(variable)?;
        self.parse(variable, value, must, accept)
    }

    /// The same, of a value that is known already.
    pub(crate) fn parse<T: FromStr>(
        &mut self,
        variable: &'static str,
        value: String,
        must: &'static str,
        accept: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let number = value.parse().ok().filter(accept);
        if number.is_none() {
            self.warn(variable, value, format!("{must}; the default is used"));
        }
        number
    }

    pub(crate) fn warn(
        &mut self,
        variable: &'static str,
        value: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
    ) {
        self.found(Warning::new(variable, value, reason));
    }

    /// Keeps the warning, and logs it.
    pub(crate) fn found(&mut self, warning: Warning) {
        // Two exporters may ask for the same variable.
        if self.warnings.contains(&warning) {
            return;
        }
        warn!(target: env!("CARGO_PKG_NAME"), "{warning}");
        self.warnings.push(warning);
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        match &self.fixed {
            Some(variables) => f.debug_set().entries(variables.keys()).finish(),
            None => f.write_str("process"),
        }
    }
}

/// What was asked for on this thread, so that a test can hold the table of variables to it.
#[cfg(test)]
pub(crate) mod asked {
    use std::{cell::RefCell, collections::BTreeSet};

    thread_local! {
        static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(variable: &str) {
        ASKED.with_borrow_mut(|asked| asked.insert(variable.to_owned()));
    }

    /// All since the last time.
    pub(crate) fn take() -> BTreeSet<String> {
        ASKED.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(value: &str) -> Env {
        Env::fixed(HashMap::from([("V".to_owned(), value.to_owned())]))
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        assert_eq!(env("").get("V"), None);
        assert_eq!(env("  ").get("V"), None);
        assert_eq!(env(" a ").get("V").as_deref(), Some("a"));
        assert_eq!(env("a").get("W"), None);
    }

    #[test]
    fn only_true_is_true_and_what_is_neither_true_nor_false_is_a_warning() {
        for (value, is_true, warnings) in [
            ("true", true, 0),
            (" True ", true, 0),
            ("TRUE", true, 0),
            ("false", false, 0),
            ("False", false, 0),
            ("", false, 0),
            ("1", false, 1),
            ("yes", false, 1),
            ("truee", false, 1),
        ] {
            let mut env = env(value);
            assert_eq!(env.is_true("V"), is_true, "{value}");
            assert_eq!(env.into_warnings().len(), warnings, "{value}");
        }
    }

    #[test]
    fn the_same_warning_is_given_once() {
        let mut env = env("-5");
        for _ in 0..2 {
            assert_eq!(env.number::<u32>("V", "must be a number", |_| true), None);
        }
        assert_eq!(env.into_warnings().len(), 1);
    }

    #[test]
    fn values_are_not_shown() {
        assert_eq!(format!("{:?}", env("s3cret")), r#"{"V"}"#);
    }

    #[test]
    fn a_bad_number_is_one_warning_that_names_variable_and_value() {
        let mut bad = env("-5");
        assert_eq!(bad.number::<u32>("V", "must be a number", |_| true), None);
        let warnings = bad.into_warnings();
        assert_eq!(warnings.len(), 1);
        assert_eq!((warnings[0].variable(), warnings[0].value()), ("V", "-5"));
        assert_eq!(warnings[0].to_string(), "V is `-5`: must be a number; the default is used");

        let mut good = env("5");
        assert_eq!(good.number::<u32>("V", "must be a number", |_| true), Some(5));
        assert!(good.into_warnings().is_empty());
    }
}
