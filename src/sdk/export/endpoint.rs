//! The endpoint: which URL the spans go to.

use std::{fmt, net::Ipv6Addr};

use http::Uri;

use crate::{
    error::BuildError,
    sdk::env::{Env, NotUnicode},
    text::without_secrets,
};

const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// The path under which a base URL [takes traces].
///
/// [takes traces]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
const TRACES_PATH: &str = "/v1/traces";
const DEFAULT_BASE: &str = "http://localhost:4318";

/// A URL from code, and what it is.
#[derive(Clone)]
pub(super) enum Endpoint {
    /// Every signal has its path below it.
    Base(String),
    /// It is taken as it is.
    Traces(String),
}

impl Endpoint {
    /// The URL for traces: from code, or the environment, or the default.
    pub(super) fn resolve(code: Option<Self>, env: &Env) -> Result<Uri, BuildError> {
        match code {
            Some(Self::Base(url)) => return parse("OTLP endpoint", &url).map(below),
            Some(Self::Traces(url)) => return parse("OTLP traces endpoint", &url),
            None => {}
        }
        if let Some(url) = variable(env, TRACES)? {
            return parse(TRACES, &url);
        }
        match variable(env, BASE)? {
            Some(url) => parse(BASE, &url).map(below),
            None => Ok(below(Uri::from_static(DEFAULT_BASE))),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Base(url) | Self::Traces(url)) = self;
        f.write_str(&without_secrets(url))
    }
}

/// To go on without an endpoint that cannot be read would be to send spans where nobody wanted
/// them.
fn variable(env: &Env, variable: &'static str) -> Result<Option<String>, BuildError> {
    env.read(variable).map_err(|NotUnicode| BuildError::new(variable, "REDACTED", "must be UTF-8"))
}

fn parse(setting: &'static str, url: &str) -> Result<Uri, BuildError> {
    let invalid = |reason: &'static str| BuildError::of_url(setting, url, reason);
    let uri: Uri = url.trim().parse().map_err(|error| {
        invalid("is no URL; write it like http://localhost:4318").caused_by(error)
    })?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid(
            "must be a whole URL with http:// or https://, like http://localhost:4318",
        ));
    }
    if url.contains('#') {
        return Err(invalid("must have no fragment"));
    }
    let Some(authority) = uri.authority() else {
        return Err(invalid("must have a host"));
    };
    if !is_host(authority.host()) {
        return Err(invalid("must have a host name or an IP address"));
    }
    let userinfo = authority.as_str().rfind('@').map_or(0, |at| at + 1);
    let after_host = &authority.as_str()[userinfo..][authority.host().len()..];
    if after_host.strip_prefix(':').is_some_and(|port| !is_port(port)) {
        return Err(invalid("must have a port from 1 to 65535, or none"));
    }
    Ok(uri)
}

fn is_port(port: &str) -> bool {
    // `parse` alone would take a sign.
    port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(part)
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>())
    }

    fn base(url: &str) -> Result<String, BuildError> {
        Endpoint::resolve(Some(Endpoint::Base(url.to_owned())), &env(&[]))
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
            "http:/host",
            "http://localhost:",
            "http://localhost:0",
            "http://localhost:+80",
            "http://localhost:-1",
            "http://localhost:65536",
            "http://localhost:port",
            "http://localhost:1:2",
            "http://*",
            "http://ho<st",
            "http://[]:1",
            "http://[zz]:1",
        ] {
            let error = base(url).unwrap_err();
            assert_eq!((error.setting(), error.value()), ("OTLP endpoint", url));
        }
    }

    #[test]
    fn neither_message_nor_debug_tells_a_secret() {
        for (url, shown) in [
            ("ftp://user:s3cret@host/path", "ftp://REDACTED@host/path"),
            ("http://user:s3/cret@host:4318", "http://REDACTED@host:4318"),
            ("http://user:s3#cret@host:4318", "http://REDACTED@host:4318"),
            ("http:/user:s3cret@host", "REDACTED@host"),
            ("http//user:s3cret@host", "REDACTED@host"),
            ("https:///user:s3cret@host", "https://REDACTED@host"),
            ("ftp://host/?key=s3cret", "ftp://host/?REDACTED"),
            ("http://user:s3cret?x@host:4318", "http://REDACTED@host:4318"),
            ("http://host#s3cret", "http://host#REDACTED"),
            ("http://host?a#s3cret", "http://host?REDACTED"),
        ] {
            let error = base(url).unwrap_err();
            assert_eq!(error.value(), shown);
            assert!(!error.to_string().contains("s3cret"));
            assert_eq!(format!("{:?}", Endpoint::Base(url.to_owned())), shown);
        }
        assert_eq!(base("http://user:s3cret@host").unwrap(), "http://user:s3cret@host/v1/traces");
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
            let resolved = Endpoint::resolve(code, &env(variables)).unwrap();
            assert_eq!(resolved.to_string(), endpoint);
        }
    }

    #[test]
    fn a_bad_variable_is_an_error_that_names_it() {
        for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            let error = Endpoint::resolve(None, &env(&[(variable, "collector")])).unwrap_err();
            assert_eq!((error.setting(), error.value()), (variable, "collector"));
        }
    }
}
