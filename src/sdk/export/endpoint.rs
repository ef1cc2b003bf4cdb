//! The endpoint: which URL the spans go to.

use std::borrow::Cow;

use http::Uri;

use crate::sdk::{BuildError, env::Env};

/// The path under which a base URL [takes traces].
///
/// [takes traces]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
const TRACES_PATH: &str = "/v1/traces";
const DEFAULT_BASE: &str = "http://localhost:4318";

/// A URL from code, and what it is.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    /// Every signal has its path below it.
    Base(String),
    /// It is taken as it is.
    Traces(String),
}

impl Endpoint {
    /// The URL for traces: from code, or the environment, or the default.
    pub(super) fn resolve(code: Option<Self>, env: &mut Env) -> Result<Uri, BuildError> {
        const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        match code {
            Some(Self::Base(url)) => return parse("OTLP endpoint", &url).map(below),
            Some(Self::Traces(url)) => return parse("OTLP traces endpoint", &url),
            None => {}
        }
        if let Some(url) = env.get(TRACES) {
            return parse(TRACES, &url);
        }
        match env.get(BASE) {
            Some(url) => parse(BASE, &url).map(below),
            None => Ok(below(Uri::from_static(DEFAULT_BASE))),
        }
    }
}

fn parse(setting: &'static str, url: &str) -> Result<Uri, BuildError> {
    let invalid = |reason: &'static str| BuildError::new(setting, without_userinfo(url), reason);
    let uri: Uri = url.trim().parse().map_err(|error| {
        invalid("is no URL; write it like http://localhost:4318").caused_by(error)
    })?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => {
            Err(invalid("must be a whole URL with http:// or https://, like http://localhost:4318"))
        }
    }
}

/// `base` with the path for traces after its own.
fn below(base: Uri) -> Uri {
    let path = base.path().trim_end_matches('/');
    let path_and_query = match base.query() {
        Some(query) => format!("{path}{TRACES_PATH}?{query}"),
        None => format!("{path}{TRACES_PATH}"),
    };
    let mut parts = base.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    // Scheme and authority are the base's and the path is a valid one made longer.
    Uri::from_parts(parts).unwrap_or(base)
}

/// A password in a URL does not belong in an error message.
fn without_userinfo(url: &str) -> Cow<'_, str> {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let authority_end =
        url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |at| after_scheme + at);
    match url[after_scheme..authority_end].rfind('@') {
        Some(at) => {
            let host = after_scheme + at + 1;
            format!("{}REDACTED@{}", &url[..after_scheme], &url[host..]).into()
        }
        None => url.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>())
    }

    fn base(url: &str) -> Result<String, BuildError> {
        Endpoint::resolve(Some(Endpoint::Base(url.to_owned())), &mut env(&[]))
            .map(|uri| uri.to_string())
    }

    #[test]
    fn a_base_url_gets_the_traces_path() {
        for (url, endpoint) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://otlp.example/intake/", "https://otlp.example/intake/v1/traces"),
            ("https://otlp.example/in?key=1", "https://otlp.example/in/v1/traces?key=1"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(base(url).unwrap(), endpoint);
        }
    }

    #[test]
    fn what_is_no_url_is_an_error_that_names_it() {
        for url in [
            "not a url",
            "",
            "localhost:4318",
            "collector",
            "/v1/traces",
            "ftp://host",
            "http://",
            "http://:4318",
            "://host",
            "http//host",
        ] {
            let error = base(url).unwrap_err();
            assert_eq!((error.setting(), error.value()), ("OTLP endpoint", url));
        }
    }

    #[test]
    fn the_message_keeps_a_password_back() {
        let error = base("ftp://user:s3cret@host/path").unwrap_err();
        assert_eq!(error.value(), "ftp://REDACTED@host/path");
        let error = base("ftp://host/a@b").unwrap_err();
        assert_eq!(error.value(), "ftp://host/a@b");
    }

    #[test]
    fn code_wins_over_the_signals_variable_over_the_general_one_over_the_default() {
        const GENERAL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1");
        const TRACES: (&str, &str) =
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:2/as/is");
        const EMPTY: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "");
        let code = Endpoint::Traces("http://code:3/as/is".to_owned());
        for (code, variables, endpoint) in [
            (Some(code), &[GENERAL, TRACES][..], "http://code:3/as/is"),
            (None, &[GENERAL, TRACES], "http://traces:2/as/is"),
            (None, &[GENERAL, EMPTY], "http://general:1/v1/traces"),
            (None, &[], "http://localhost:4318/v1/traces"),
        ] {
            let resolved = Endpoint::resolve(code, &mut env(variables)).unwrap();
            assert_eq!(resolved.to_string(), endpoint);
        }
    }

    #[test]
    fn a_bad_variable_is_an_error_that_names_it() {
        for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            let error = Endpoint::resolve(None, &mut env(&[(variable, "collector")])).unwrap_err();
            assert_eq!((error.setting(), error.value()), (variable, "collector"));
        }
    }
}
