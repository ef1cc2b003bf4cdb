//! The endpoint: which URL the spans go to.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use http::{Uri, uri::Scheme};

use crate::{
    error::BuildError,
    sdk::{
        env::{Env, NotUnicode},
        export::otlp::{protocol::Protocol, signal::Signal},
    },
    text::without_secrets,
};

const DEFAULT_HTTP: &str = "http://localhost:4318";
const DEFAULT_GRPC: &str = "http://localhost:4317";

/// A URL from code, and what it is.
#[derive(Clone)]
pub(super) enum Endpoint {
    /// Every signal has its path below it.
    Base(String),
    /// It is one signal's, and taken as it is.
    OfSignal(String),
}

impl Endpoint {
    /// The URL for a signal: from code, or the environment, or the default.
    pub(super) fn resolve(
        code: Option<Self>,
        protocol: Protocol,
        signal: Signal,
        env: &mut Env,
    ) -> Result<Uri, BuildError> {
        let [own, general] = signal.variables().endpoint;
        let given = match code {
            Some(Self::Base(url)) => Some(("OTLP endpoint", url, true)),
            Some(Self::OfSignal(url)) => Some((signal.endpoint_setting(), url, true)),
            None => match variable(env, own)? {
                Some(url) => Some((own, url, false)),
                None => variable(env, general)?.map(|url| (general, url, false)),
            },
        };
        if protocol == Protocol::Grpc {
            let insecure = insecure(signal, env);
            return match given {
                Some((setting, url, code)) => grpc(setting, &url, code, insecure, env),
                None => Ok(Uri::from_static(DEFAULT_GRPC)),
            };
        }
        match given {
            Some((setting, url, _)) => {
                let uri = parse(setting, &url, "http://localhost:4318")?;
                let as_it_is = setting == signal.endpoint_setting() || setting == own;
                Ok(if as_it_is { uri } else { below(uri, signal) })
            }
            None => Ok(below(Uri::from_static(DEFAULT_HTTP), signal)),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Base(url) | Self::OfSignal(url)) = self;
        f.write_str(&without_secrets(url))
    }
}

/// The port that is connected to.
pub(super) fn port(uri: &Uri) -> u16 {
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    uri.port_u16().unwrap_or(default)
}

/// The host without the brackets of an IPv6 address.
pub(super) fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether it is this machine by its very name.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let host = host(uri);
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The target of gRPC, which has scheme, host and port. [Without a scheme][grpc] it is the
/// environment that says whether it is `https`, which is the default.
///
/// [grpc]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
fn grpc(
    setting: &'static str,
    url: &str,
    from_code: bool,
    insecure: bool,
    env: &mut Env,
) -> Result<Uri, BuildError> {
    let url = url.trim();
    let uri = if url.contains("://") {
        parse(setting, url, "http://localhost:4317")?
    } else {
        let scheme = if insecure { "http" } else { "https" };
        // What is wrong with it is said of what was given.
        parse(setting, &format!("{scheme}://{url}"), "http://localhost:4317 or localhost:4317")
            .map_err(|error| error.of(without_secrets(url)))?
    };
    if uri.path() != "/" || uri.query().is_some() {
        // Other SDKs ignore it, and read the same environment.
        if from_code {
            return Err(BuildError::of_url(setting, url, "must have no path: gRPC has none"));
        }
        env.warn(setting, without_secrets(url), "has a path, which gRPC has not; it was ignored");
    }
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).map_err(|error| {
        BuildError::of_url(setting, url, "must have a scheme and a host").caused_by(error)
    })
}

fn insecure(signal: Signal, env: &mut Env) -> bool {
    env.first(signal.variables().insecure)
        .is_some_and(|(variable, value)| env.truth(variable, value))
}

/// To go on without an endpoint that cannot be read would be to send spans where nobody wanted
/// them.
fn variable(env: &Env, variable: &'static str) -> Result<Option<String>, BuildError> {
    env.read(variable).map_err(|NotUnicode| BuildError::new(variable, "REDACTED", "must be UTF-8"))
}

fn parse(setting: &'static str, url: &str, example: &str) -> Result<Uri, BuildError> {
    let invalid = |reason: String| BuildError::of_url(setting, url, reason);
    let uri: Uri = url
        .trim()
        .parse()
        .map_err(|error| invalid(format!("is no URL; write it like {example}")).caused_by(error))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        let reason = format!("must be a whole URL with http:// or https://, like {example}");
        return Err(invalid(reason));
    }
    if url.contains('#') {
        return Err(invalid("must have no fragment".to_owned()));
    }
    match wrong_with(&uri) {
        Some(reason) => Err(invalid(reason.to_owned())),
        None => Ok(uri),
    }
}

/// What is wrong with host and port of a URL that is one otherwise.
pub(super) fn wrong_with(uri: &Uri) -> Option<&'static str> {
    let Some(authority) = uri.authority() else {
        return Some("must have a host");
    };
    if !is_host(authority.host()) {
        return Some("must have a host name or an IP address");
    }
    let userinfo = authority.as_str().rfind('@').map_or(0, |at| at + 1);
    let after_host = &authority.as_str()[userinfo..][authority.host().len()..];
    if after_host.strip_prefix(':').is_some_and(|port| !is_port(port)) {
        return Some("must have a port from 1 to 65535, or none");
    }
    None
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

/// `base` with the signal's path after its own.
fn below(base: Uri, signal: Signal) -> Uri {
    let (path, of_signal) = (base.path().trim_end_matches('/'), signal.path());
    let path_and_query = match base.query() {
        Some(query) => format!("{path}{of_signal}?{query}"),
        None => format!("{path}{of_signal}"),
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
        let base = Endpoint::Base(url.to_owned());
        Endpoint::resolve(Some(base), Protocol::HttpProtobuf, Signal::Traces, &mut env(&[]))
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
        let code = Endpoint::OfSignal("http://code:3/as/is".to_owned());
        for (code, variables, endpoint) in [
            (Some(code), &[GENERAL, TRACES][..], "http://code:3/as/is"),
            (None, &[GENERAL, TRACES], "http://traces:2/as/is"),
            (None, &[GENERAL, EMPTY], "http://general:1/v1/traces"),
            (None, &[], "http://localhost:4318/v1/traces"),
        ] {
            let http = Protocol::HttpProtobuf;
            let resolved =
                Endpoint::resolve(code, http, Signal::Traces, &mut env(variables)).unwrap();
            assert_eq!(resolved.to_string(), endpoint);
        }
    }

    #[test]
    fn a_bad_variable_is_an_error_that_names_it() {
        for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            let mut env = env(&[(variable, "collector")]);
            let error =
                Endpoint::resolve(None, Protocol::HttpJson, Signal::Traces, &mut env).unwrap_err();
            assert_eq!((error.setting(), error.value()), (variable, "collector"));
        }
    }

    fn of_grpc(url: &str, variables: &[(&str, &str)]) -> (Result<String, BuildError>, Vec<String>) {
        let mut env = env(variables);
        let base = (!url.is_empty()).then(|| Endpoint::Base(url.to_owned()));
        let resolved = Endpoint::resolve(base, Protocol::Grpc, Signal::Traces, &mut env);
        let warnings = env.into_warnings().iter().map(ToString::to_string).collect();
        (resolved.map(|uri| uri.to_string()), warnings)
    }

    #[test]
    fn grpc_has_scheme_host_and_port_and_without_a_scheme_it_is_https_unless_insecure() {
        const GENERAL: &str = "OTEL_EXPORTER_OTLP_INSECURE";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_INSECURE";
        for (url, variables, endpoint) in [
            ("", &[][..], "http://localhost:4317/"),
            ("http://host:1", &[], "http://host:1/"),
            ("https://host/", &[(GENERAL, "true")], "https://host/"),
            ("http://host", &[(GENERAL, "false")], "http://host/"),
            ("host:1", &[], "https://host:1/"),
            ("host:1", &[(GENERAL, "TRUE")], "http://host:1/"),
            ("host", &[(GENERAL, "true"), (TRACES, "false")], "https://host/"),
            ("[::1]:1", &[(TRACES, "true")], "http://[::1]:1/"),
            ("http://[::1]:1", &[], "http://[::1]:1/"),
        ] {
            let (resolved, warnings) = of_grpc(url, variables);
            assert_eq!((resolved.unwrap(), warnings), (endpoint.to_owned(), vec![]), "{url}");
        }
        let (resolved, warnings) = of_grpc("host:1", &[(GENERAL, "1")]);
        assert_eq!(resolved.unwrap(), "https://host:1/");
        assert_eq!(warnings, [format!("{GENERAL} is `1`: must be true or false; false is used")]);
    }

    #[test]
    fn a_path_for_grpc_is_an_error_from_code_and_ignored_from_the_environment() {
        let error = of_grpc("http://host:1/v1/traces", &[]).0.unwrap_err();
        let expected = ("OTLP endpoint", "http://host:1/v1/traces");
        assert_eq!((error.setting(), error.value()), expected);
        let (resolved, warnings) =
            of_grpc("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret@host:1/v1?s3cret")]);
        assert_eq!(resolved.unwrap(), "http://user:s3cret@host:1/");
        assert_eq!(
            warnings,
            [
                "OTEL_EXPORTER_OTLP_ENDPOINT is `http://REDACTED@host:1/v1?REDACTED`: has a path, which \
              gRPC has not; it was ignored"
            ]
        );
    }

    #[test]
    fn what_is_no_target_of_grpc_is_an_error_that_names_it() {
        for url in ["ftp://host", "host:0", "ho st", "https://", "user:s3cret@:1", "[zz]:1"] {
            let error = of_grpc(url, &[]).0.unwrap_err();
            let shown = url.replace("user:s3cret", "REDACTED");
            assert_eq!((error.setting(), error.value()), ("OTLP endpoint", &*shown));
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn this_machine_is_known_by_name_and_by_address() {
        for (url, loopback) in [
            ("http://localhost:1", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), loopback, "{url}");
        }
    }
}
