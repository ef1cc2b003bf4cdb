//! What the environment says of the layers, where the code says nothing.

use std::env::{self, VarError};

use crate::{
    error::Warning,
    exchange::{capture::HeaderSelector, exceptions::Exceptions, given::Given},
    semconv::{legacy::LegacyNames, method::KnownMethods},
};

/// The settings of layers that [the conventions][methods] and [other instrumentation][headers] take
/// from the environment.
///
/// [methods]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#common-attributes
/// [headers]: https://opentelemetry.io/docs/zero-code/java/agent/instrumentation/http/
#[derive(Clone, Debug, Default)]
pub(crate) struct Instrumentation {
    pub(crate) server: Given,
    pub(crate) client: Given,
    pub(crate) legacy_grpc_names: Option<LegacyNames>,
}

const STABILITY_OPT_IN: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";
const EXCEPTION_SIGNAL: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";
const KNOWN_METHODS: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
const CLIENT_REQUEST: &str = "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS";
const CLIENT_RESPONSE: &str = "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS";
const SERVER_REQUEST: &str = "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS";
const SERVER_RESPONSE: &str = "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS";

impl Instrumentation {
    /// Asks `variable` for each of the variables; an empty one is unset. An entry that cannot be
    /// used is left out of its list, and a warning.
    pub(crate) fn read(
        mut variable: impl FnMut(&'static str) -> Option<String>,
    ) -> (Self, Vec<Warning>) {
        let mut warnings = Vec::new();
        let legacy_grpc_names = variable(STABILITY_OPT_IN).and_then(|list| {
            let (names, bad) = grpc_names(&list);
            warnings.extend(left_out(STABILITY_OPT_IN, bad, "is not known of `rpc`"));
            names
        });
        let known_methods = variable(KNOWN_METHODS).map(|list| {
            let (methods, bad) = KnownMethods::from_list(&list);
            warnings.extend(left_out(KNOWN_METHODS, bad, "is no method"));
            methods
        });
        let exceptions = variable(EXCEPTION_SIGNAL).and_then(|signal| {
            let exceptions = exception_signal(&signal);
            if exceptions.is_none() {
                let reason = "is neither `logs` nor `logs/dup` and was not used";
                warnings.push(Warning::new(EXCEPTION_SIGNAL, signal, reason));
            }
            exceptions
        });
        let mut headers = |name| {
            let list = variable(name)?;
            let (selector, bad) = HeaderSelector::from_list(&list);
            warnings.extend(left_out(name, bad, "is no header's name"));
            Some(selector)
        };
        let mut side = |request, response| Given {
            known_methods: known_methods.clone(),
            request_headers: headers(request),
            response_headers: headers(response),
            exceptions,
        };
        let read = Self {
            server: side(SERVER_REQUEST, SERVER_RESPONSE),
            client: side(CLIENT_REQUEST, CLIENT_RESPONSE),
            legacy_grpc_names,
        };
        (read, warnings)
    }

    /// What it says, for people; nothing where it says nothing.
    #[cfg(feature = "sdk")]
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let Self { server, client, legacy_grpc_names } = self;
        let headers =
            |selector: &Option<HeaderSelector>| selector.as_ref().map(HeaderSelector::list);
        let methods = server.known_methods.as_ref().map(KnownMethods::list);
        let names = legacy_grpc_names.map(|names| match names {
            LegacyNames::Beside => "old and new".to_owned(),
            LegacyNames::Instead => "old".to_owned(),
        });
        let exceptions = server.exceptions.filter(|said| *said != Exceptions::default());
        let said = [
            ("known methods", methods),
            ("server request headers", headers(&server.request_headers)),
            ("server response headers", headers(&server.response_headers)),
            ("client request headers", headers(&client.request_headers)),
            ("client response headers", headers(&client.response_headers)),
            ("exceptions", exceptions.map(|exceptions| format!("{exceptions:?}"))),
            ("names of a gRPC status", names),
        ];
        said.into_iter().filter_map(|(what, said)| Some((what, said?))).collect()
    }

    /// The process's environment.
    pub(crate) fn of_process() -> (Self, Vec<Warning>) {
        let mut unreadable = Vec::new();
        let (read, mut warnings) = Self::read(|name| match env::var(name) {
            Ok(value) => Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                unreadable.push(Warning::new(name, "REDACTED", "is not UTF-8 and was not used"));
                None
            }
        });
        warnings.append(&mut unreadable);
        (read, warnings)
    }
}

/// What a list of [categories] says of gRPC, and the entries that say what is not known. The other
/// categories are for instrumentation that had other names once; of HTTP, this crate has always had
/// the stable ones. Both names win over the newest, as [the conventions want it][categories];
/// `rpc/old` is [Go's] word for the old one alone.
///
/// [categories]: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/
/// [Go's]: https://pkg.go.dev/go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc
fn grpc_names(list: &str) -> (Option<LegacyNames>, Vec<&str>) {
    let entries = || list.split(',').map(str::trim);
    let has = |word| entries().any(|entry| entry == word);
    let names = if has("rpc/dup") {
        Some(LegacyNames::Beside)
    } else if has("rpc/old") && !has("rpc") {
        Some(LegacyNames::Instead)
    } else {
        None
    };
    let unknown =
        |entry: &&str| entry.starts_with("rpc/") && !matches!(*entry, "rpc/dup" | "rpc/old");
    (names, entries().filter(unknown).collect())
}

/// What the [opt-in] says: logs, or span events beside them.
///
/// [opt-in]: https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
fn exception_signal(signal: &str) -> Option<Exceptions> {
    match signal {
        "logs" => Some(Exceptions::Log),
        "logs/dup" => Some(Exceptions::Both),
        _ => None,
    }
}

fn left_out(
    name: &'static str,
    entries: Vec<&str>,
    is: &'static str,
) -> impl Iterator<Item = Warning> {
    entries
        .into_iter()
        .map(move |entry| Warning::new(name, entry, format!("{is} and was left out")))
}
