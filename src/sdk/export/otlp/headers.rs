//! The headers that go with every export, an API key for one.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;

use crate::{
    error::BuildError,
    sdk::{
        env::Env,
        export::otlp::{protocol::Protocol, signal::Signal},
    },
};

/// What describes the message or the connection is not for others to say.
const EXPORTERS_OWN: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Those from code over those of the [environment], name by name.
///
/// [environment]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
pub(super) fn resolve(
    code: Vec<(String, String)>,
    protocol: Protocol,
    signal: Signal,
    env: &mut Env,
) -> Result<HeaderMap, BuildError> {
    let mut headers = from_env(protocol, signal, env);
    for (name, value) in code {
        // The value may be a key; the name is enough to find it.
        let invalid = |reason| BuildError::new("OTLP header", &name, reason);
        let (parsed, value) = header(&name, &value).map_err(invalid)?;
        if let Some(reason) = not_theirs(&parsed, protocol) {
            return Err(invalid(reason));
        }
        headers.insert(parsed, value);
    }
    Ok(headers)
}

fn from_env(protocol: Protocol, signal: Signal, env: &mut Env) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some((variable, list)) = env.first(signal.variables().headers) else {
        return headers;
    };
    // A warning names the header at most, and only if it is one: the rest may be a key.
    for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            env.warn(variable, "REDACTED", "has a pair without `=`; it was skipped");
            continue;
        };
        let value = percent_decode_str(value.trim()).decode_utf8_lossy();
        match header(name.trim(), &value) {
            Ok((name, value)) => match not_theirs(&name, protocol) {
                Some(reason) => {
                    let pair = format!("{name}=REDACTED");
                    env.warn(variable, pair, format!("{reason}; it was skipped"));
                }
                None => {
                    headers.insert(name, value);
                }
            },
            Err(reason) => {
                env.warn(variable, "REDACTED", format!("has a pair that {reason}; it was skipped"));
            }
        }
    }
    headers
}

/// Why a header that is one may not be set.
fn not_theirs(name: &HeaderName, protocol: Protocol) -> Option<&'static str> {
    let name_of_grpc = protocol == Protocol::Grpc && name.as_str().starts_with("grpc-");
    if EXPORTERS_OWN.contains(name) || name_of_grpc {
        return Some("is the exporter's own to set");
    }
    // Its value would have to be base64, which a text that somebody has written is by accident.
    (protocol == Protocol::Grpc && name.as_str().ends_with("-bin"))
        .then_some("is binary metadata to gRPC, which a header cannot be")
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name = name.parse().map_err(|_| "has a name no header can have")?;
    let mut value = HeaderValue::from_str(value).map_err(|_| "has a value no header can have")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn resolve_in(
        code: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> (Result<HeaderMap, BuildError>, Vec<String>) {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let mut env = Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>());
        let http = Protocol::HttpProtobuf;
        let headers = resolve(code.iter().map(own).collect(), http, Signal::Traces, &mut env);
        (headers, env.into_warnings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn code_wins_over_the_signals_variable_which_hides_the_general_one() {
        let (headers, warnings) = resolve_in(
            &[("A", "code")],
            &[
                ("OTEL_EXPORTER_OTLP_HEADERS", "c=general"),
                ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=env, b = x%20y%3D "),
            ],
        );
        let headers = headers.unwrap();
        assert_eq!(
            (&headers["a"], &headers["b"]),
            (&"code".parse().unwrap(), &"x y=".parse().unwrap())
        );
        assert_eq!((headers.len(), warnings), (2, vec![]));
    }

    #[test]
    fn a_value_is_marked_as_a_secret() {
        let headers = resolve_in(&[("A", "code")], &[("OTEL_EXPORTER_OTLP_HEADERS", "b=env")]).0;
        assert!(headers.unwrap().values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn a_bad_pair_is_skipped_with_a_warning_that_keeps_the_value_back() {
        const LIST: &str = "s3cret,b s3cret part==,d=s3cret%0A,e=f,Content-Type=s3cret";
        let (headers, warnings) = resolve_in(&[], &[("OTEL_EXPORTER_OTLP_HEADERS", LIST)]);
        assert_eq!(headers.unwrap().len(), 1);
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        for warning in warnings {
            assert!(warning.starts_with("OTEL_EXPORTER_OTLP_HEADERS is "), "{warning}");
            assert!(!warning.contains("s3cret"), "{warning}");
        }
    }

    #[test]
    fn a_bad_header_from_code_is_an_error_that_names_it_and_keeps_the_value_back() {
        for (name, value) in
            [("b c", "s3cret"), ("d", "s3cret\n"), ("", "s3cret"), ("content-type", "s3cret")]
        {
            let error = resolve_in(&[(name, value)], &[]).0.unwrap_err();
            assert_eq!((error.setting(), error.value()), ("OTLP header", name));
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn what_grpc_has_for_itself_is_not_set() {
        for name in ["grpc-timeout", "x-trace-bin", "te"] {
            let of = |protocol| {
                let code = vec![(name.to_owned(), "s3cret".to_owned())];
                resolve(code, protocol, Signal::Traces, &mut Env::fixed(HashMap::new()))
            };
            let error = of(Protocol::Grpc).unwrap_err();
            assert_eq!((error.setting(), error.value()), ("OTLP header", name));
            assert_eq!(of(Protocol::HttpProtobuf).is_ok(), name != "te", "{name}");
        }
    }
}
