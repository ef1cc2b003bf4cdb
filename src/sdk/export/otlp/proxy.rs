//! The proxy: what stands between here and the collector, if anything does.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::{
    error::BuildError,
    sdk::{
        env::Env,
        export::otlp::{endpoint, protocol::Protocol},
    },
    text::without_secrets,
};

/// What code says of proxies.
#[derive(Clone)]
pub(super) enum Choice {
    Url(String),
    None,
}

/// A proxy for one endpoint.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Scheme, host and port.
    pub(super) uri: Uri,
    pub(super) way: Way,
}

/// What a proxy is asked for.
#[derive(Clone)]
pub(super) enum Way {
    /// To send the request on, with this in it.
    #[cfg(feature = "otlp-http")]
    Forward(Option<HeaderValue>),
    /// To connect to the endpoint, with this in the request, by HTTP's `CONNECT`.
    Tunnel(Option<HeaderValue>),
    /// The same by SOCKS 5, with user and password; whether names are looked up here.
    Socks { credentials: Option<(String, String)>, local_names: bool },
}

impl Proxy {
    /// The proxy for this endpoint: from code, or else the environment.
    pub(super) fn resolve(
        code: Option<Choice>,
        endpoint: &Uri,
        protocol: Protocol,
        env: &mut Env,
    ) -> Result<Option<Self>, BuildError> {
        match code {
            Some(Choice::None) => Ok(None),
            Some(Choice::Url(url)) => match Self::parse(&url, endpoint, protocol) {
                Ok(proxy) => Ok(Some(proxy)),
                Err(reason) => Err(BuildError::of_url("OTLP proxy", &url, reason)),
            },
            None => Ok(Self::from_env(endpoint, protocol, env)),
        }
    }

    /// From the variables that curl made common. A collector on this very machine is never asked
    /// for through a proxy, as Go has it: from there it would be another machine's.
    fn from_env(endpoint: &Uri, protocol: Protocol, env: &mut Env) -> Option<Self> {
        if endpoint::is_loopback(endpoint) {
            return None;
        }
        let of_scheme: &[&'static str] = if endpoint.scheme_str() == Some("https") {
            &["HTTPS_PROXY", "https_proxy"]
        } else if env.get("REQUEST_METHOD").is_some() {
            // Under CGI, `HTTP_PROXY` is what a stranger has sent in a header named `Proxy`.
            &["http_proxy"]
        } else {
            &["HTTP_PROXY", "http_proxy"]
        };
        let variables = of_scheme.iter().copied().chain(["ALL_PROXY", "all_proxy"]);
        let (variable, url) = first(variables, env)?;
        let spared = first(["NO_PROXY", "no_proxy"], env).is_some_and(|(_, list)| {
            // Any proxy does, to see whether it would be asked.
            let matcher = Matcher::builder().all("http://proxy").no(list).build();
            matcher.intercept(endpoint).is_none()
        });
        if spared {
            return None;
        }
        Self::parse(&url, endpoint, protocol)
            .map_err(|reason| {
                let reason = format!("{reason}; no proxy is used");
                env.warn(variable, without_secrets(&url), reason);
            })
            .ok()
    }

    #[cfg_attr(
        not(feature = "otlp-http"),
        expect(unused_variables, reason = "a call is never sent on")
    )]
    fn parse(url: &str, endpoint: &Uri, protocol: Protocol) -> Result<Self, &'static str> {
        let matcher = Matcher::builder().all(url.trim().to_owned()).build();
        let Some(found) = matcher.intercept(endpoint) else {
            return Err("is no URL of a proxy; write it like http://proxy:3128");
        };
        let uri = found.uri().clone();
        if let Some(reason) = endpoint::wrong_with(&uri) {
            return Err(reason);
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("has an `@` in its userinfo; write it as %40");
        }
        let credentials = found.basic_auth().cloned();
        let way = match uri.scheme_str() {
            #[cfg(feature = "otlp-http")]
            Some("http" | "https")
                if protocol != Protocol::Grpc && endpoint.scheme_str() == Some("http") =>
            {
                Way::Forward(credentials)
            }
            Some("http" | "https") => Way::Tunnel(credentials),
            Some(scheme @ ("socks5" | "socks5h")) => Way::Socks {
                credentials: found
                    .raw_auth()
                    .map(|(user, password)| (user.to_owned(), password.to_owned())),
                local_names: scheme == "socks5",
            },
            _ => return Err("must be a proxy of http, https, socks5 or socks5h"),
        };
        Ok(Self { uri: with_port(uri), way })
    }

    /// What the endpoint's proxy is called in messages.
    pub(super) fn name(&self) -> String {
        self.uri.authority().map(ToString::to_string).unwrap_or_default()
    }
}

/// Shows no credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Url(url) => without_secrets(url),
            Self::None => "none".to_owned(),
        })
    }
}

fn first(
    variables: impl IntoIterator<Item = &'static str>,
    env: &mut Env,
) -> Option<(&'static str, String)> {
    variables.into_iter().find_map(|variable| Some((variable, env.get(variable)?)))
}

/// The same with its port, which is another one by default for SOCKS.
fn with_port(uri: Uri) -> Uri {
    if uri.port().is_some() {
        return uri;
    }
    let port = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => 1080,
    };
    let authority = format!("{}:{port}", uri.host().unwrap_or_default());
    let mut parts = uri.clone().into_parts();
    parts.authority = authority.parse().ok();
    Uri::from_parts(parts).unwrap_or(uri)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const HTTP: &str = "http://collector.example:4318/v1/traces";
    const HTTPS: &str = "https://collector.example/v1/traces";

    fn resolved(
        code: Option<&str>,
        endpoint: &str,
        variables: &[(&str, &str)],
    ) -> (Result<Option<String>, BuildError>, Vec<String>) {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let mut env = Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>());
        let code = code.map(|url| Choice::Url(url.to_owned()));
        let endpoint = endpoint.parse().unwrap();
        let proxy = Proxy::resolve(code, &endpoint, Protocol::HttpProtobuf, &mut env);
        let warnings = env.into_warnings().iter().map(ToString::to_string).collect();
        (proxy.map(|proxy| proxy.map(|proxy| proxy.uri.to_string())), warnings)
    }

    #[test]
    fn the_environments_proxy_is_that_of_the_scheme_or_that_of_all() {
        const ALL: (&str, &str) = ("ALL_PROXY", "http://all:1");
        const SECURE: (&str, &str) = ("https_proxy", "http://secure:2");
        const PLAIN: (&str, &str) = ("HTTP_PROXY", "plain:3");
        for (endpoint, variables, proxy) in [
            (HTTP, &[ALL, SECURE, PLAIN][..], Some("http://plain:3/")),
            (HTTPS, &[ALL, SECURE, PLAIN], Some("http://secure:2/")),
            (HTTPS, &[ALL, PLAIN], Some("http://all:1/")),
            (HTTPS, &[PLAIN], None),
            (HTTPS, &[SECURE, ("HTTPS_PROXY", "http://upper")], Some("http://upper:80/")),
            (HTTPS, &[("ALL_PROXY", "socks5h://user:s3cret@socks")], Some("socks5h://socks:1080/")),
            (HTTP, &[PLAIN, ("REQUEST_METHOD", "GET")], None),
            (
                HTTP,
                &[("http_proxy", "http://low:4"), ("REQUEST_METHOD", "GET")],
                Some("http://low:4/"),
            ),
            (HTTP, &[PLAIN, ("NO_PROXY", "other, .example")], None),
            (HTTP, &[PLAIN, ("no_proxy", "*")], None),
            (HTTP, &[PLAIN, ("NO_PROXY", "other")], Some("http://plain:3/")),
            ("http://10.1.2.3:4318", &[PLAIN, ("NO_PROXY", "10.0.0.0/8")], None),
            ("http://localhost:4318", &[PLAIN, ALL], None),
            ("https://[::1]:4318", &[SECURE], None),
        ] {
            let (resolved, warnings) = resolved(None, endpoint, variables);
            assert_eq!(resolved.unwrap().as_deref(), proxy, "{endpoint} {variables:?}");
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn code_wins_over_the_environment_and_means_every_endpoint() {
        for endpoint in [HTTP, "http://localhost:4318"] {
            let variables = [("ALL_PROXY", "http://all:1"), ("NO_PROXY", "*")];
            let (proxy, _) = resolved(Some("http://user:s3cret@mine:1"), endpoint, &variables);
            assert_eq!(proxy.unwrap().as_deref(), Some("http://mine:1/"));
        }
    }

    #[test]
    fn a_bad_one_is_an_error_from_code_and_a_warning_from_the_environment_and_tells_no_secret() {
        for (url, shown) in [
            ("ftp://user:s3cret@proxy", "ftp://REDACTED@proxy"),
            ("socks4://proxy", "socks4://proxy"),
            ("http://", "http://"),
            ("http://user:s3cret@proxy:0", "http://REDACTED@proxy:0"),
            ("http://user:s3@cret@proxy", "http://REDACTED@proxy"),
            ("http://pro xy", "http://pro xy"),
        ] {
            let error = resolved(Some(url), HTTP, &[]).0.unwrap_err();
            assert_eq!((error.setting(), error.value()), ("OTLP proxy", shown));
            let (proxy, warnings) = resolved(None, HTTP, &[("http_proxy", url)]);
            assert_eq!(proxy.unwrap(), None);
            let [warning] = &warnings[..] else { panic!("{warnings:?}") };
            assert!(warning.starts_with(&format!("http_proxy is `{shown}`: ")), "{warning}");
            assert!(warning.ends_with("; no proxy is used"), "{warning}");
            for told in
                [error.to_string(), warning.clone(), format!("{:?}", Choice::Url(url.into()))]
            {
                assert!(!told.contains("s3") && !told.contains("cret"), "{told}");
            }
        }
    }

    #[test]
    #[cfg(feature = "otlp-http")]
    fn what_it_is_asked_for_depends_on_what_is_sent() {
        let way = |endpoint: &str, protocol| {
            let endpoint = endpoint.parse().unwrap();
            Proxy::parse("http://user:s3cret@proxy", &endpoint, protocol).unwrap().way
        };
        assert!(matches!(way(HTTP, Protocol::HttpProtobuf), Way::Forward(Some(_))));
        assert!(matches!(way(HTTPS, Protocol::HttpJson), Way::Tunnel(Some(_))));
        assert!(matches!(way(HTTP, Protocol::Grpc), Way::Tunnel(Some(_))));
    }
}
