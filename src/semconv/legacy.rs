//! The names from before the conventions were stable, for dashboards that have them.

use opentelemetry::{KeyValue, Value};

use crate::semconv::keys;

/// The old attribute names. Default: a layer writes none.
///
/// Those of HTTP have been [deprecated since][renamed] its conventions became stable:
/// `http.method`, `http.target`, `http.status_code` and others. Of gRPC it is that of the status,
/// `rpc.response.status_code`, [as asked for](crate::Grpc::with_legacy_names).
///
/// ```
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::{TraceLayer, server::LegacyNames};
#[doc = include_str!("../server/span_of.md")]
///
/// let layer = TraceLayer::new().with_legacy_names(LegacyNames::Instead);
/// let request = Request::builder().uri("/items?page=2").body(String::new())?;
/// let span = span_of(layer, request);
/// assert!(span.attributes.contains(&KeyValue::new("http.target", "/items?page=2")));
/// assert!(!span.attributes.iter().any(|attribute| attribute.key.as_str() == "url.path"));
/// # Ok::<(), http::Error>(())
/// ```
///
/// [renamed]: https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegacyNames {
    /// The old names beside the newer ones, while dashboards move over.
    Beside,
    /// The old names instead of the newer ones; what never had an old name keeps the one it has.
    Instead,
}

/// A stable name and the old one for the same value.
pub(crate) const RENAMED: [(&str, &str); 12] = [
    (keys::HTTP_REQUEST_METHOD, "http.method"),
    (keys::HTTP_RESPONSE_STATUS_CODE, "http.status_code"),
    (keys::HTTP_REQUEST_BODY_SIZE, "http.request_content_length"),
    (keys::HTTP_RESPONSE_BODY_SIZE, "http.response_content_length"),
    (keys::URL_SCHEME, "http.scheme"),
    (keys::CLIENT_ADDRESS, "http.client_ip"),
    (keys::USER_AGENT_ORIGINAL, "http.user_agent"),
    (keys::SERVER_ADDRESS, "net.host.name"),
    (keys::SERVER_PORT, "net.host.port"),
    (keys::NETWORK_PEER_ADDRESS, "net.peer.ip"),
    (keys::NETWORK_PEER_PORT, "net.peer.port"),
    (keys::NETWORK_PROTOCOL_VERSION, FLAVOR),
];

const FLAVOR: &str = "http.flavor";
/// Path and query in one.
pub(crate) const TARGET: &str = "http.target";
/// The whole of it.
pub(crate) const URL: &str = "http.url";
/// Host and port in one, the port if it is written down.
pub(crate) const HOST: &str = "http.host";

/// What the old names took apart differently.
const TAKEN_APART: [&str; 3] =
    [keys::URL_PATH, keys::URL_QUERY, keys::HTTP_REQUEST_METHOD_ORIGINAL];

/// Gives the attributes in `list` their old names, too or instead. No key is there twice after it.
pub(crate) fn rename(list: &mut Vec<KeyValue>, names: LegacyNames) {
    let mut old = composed(list);
    for (stable, legacy) in RENAMED {
        let Some(value) = find(list, stable) else { continue };
        let value = match legacy {
            FLAVOR => flavor(value),
            // There was no `_OTHER`.
            "http.method" => {
                find(list, keys::HTTP_REQUEST_METHOD_ORIGINAL).unwrap_or(value).clone()
            }
            _ => value.clone(),
        };
        old.push(KeyValue::new(legacy, value));
    }
    if names == LegacyNames::Instead {
        list.retain(|attribute| {
            let key = attribute.key.as_str();
            !TAKEN_APART.contains(&key) && RENAMED.iter().all(|(stable, _)| *stable != key)
        });
    }
    for attribute in old {
        if find(list, attribute.key.as_str()).is_none() {
            list.push(attribute);
        }
    }
}

/// The old attributes that several stable ones make up.
fn composed(list: &[KeyValue]) -> Vec<KeyValue> {
    let text = |key| find(list, key).map(|value| value.as_str());
    let mut composed = Vec::with_capacity(3 + RENAMED.len());
    let host = text(keys::SERVER_ADDRESS).map(|host| {
        let host = if host.contains(':') { format!("[{host}]").into() } else { host };
        match find(list, keys::SERVER_PORT) {
            Some(port) => format!("{host}:{port}"),
            None => host.into_owned(),
        }
    });
    if let Some(path) = text(keys::URL_PATH) {
        let target = match text(keys::URL_QUERY) {
            Some(query) => format!("{path}?{query}"),
            None => path.into_owned(),
        };
        if let Some((scheme, host)) = text(keys::URL_SCHEME).zip(host.as_deref()) {
            composed.push(KeyValue::new(URL, format!("{scheme}://{host}{target}")));
        }
        composed.push(KeyValue::new(TARGET, target));
    }
    if let Some(host) = host {
        composed.push(KeyValue::new(HOST, host));
    }
    composed
}

fn find<'a>(list: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    list.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| &attribute.value)
}

/// It was `2.0` once.
fn flavor(version: &Value) -> Value {
    match version.as_str().as_ref() {
        "2" => "2.0".into(),
        "3" => "3.0".into(),
        _ => version.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Vec<KeyValue> {
        vec![
            KeyValue::new(keys::HTTP_REQUEST_METHOD, "_OTHER"),
            KeyValue::new(keys::HTTP_REQUEST_METHOD_ORIGINAL, "PURGE"),
            KeyValue::new(keys::URL_PATH, "/items"),
            KeyValue::new(keys::URL_QUERY, "a=b"),
            KeyValue::new(keys::URL_SCHEME, "https"),
            KeyValue::new(keys::SERVER_ADDRESS, "::1"),
            KeyValue::new(keys::SERVER_PORT, 8080),
            KeyValue::new(keys::NETWORK_PROTOCOL_VERSION, "2"),
            KeyValue::new("mine", true),
        ]
    }

    fn shown(list: &[KeyValue]) -> Vec<String> {
        let mut shown: Vec<_> =
            list.iter().map(|attribute| format!("{}={}", attribute.key, attribute.value)).collect();
        shown.sort();
        shown
    }

    const OLD: [&str; 8] = [
        "http.flavor=2.0",
        "http.host=[::1]:8080",
        "http.method=PURGE",
        "http.scheme=https",
        "http.target=/items?a=b",
        "http.url=https://[::1]:8080/items?a=b",
        "net.host.name=::1",
        "net.host.port=8080",
    ];

    #[test]
    fn the_old_names_replace_the_stable_ones_or_stand_beside_them() {
        let mut list = request();
        rename(&mut list, LegacyNames::Instead);
        let mut expected: Vec<_> = OLD.iter().map(ToString::to_string).collect();
        expected.push("mine=true".to_owned());
        expected.sort();
        assert_eq!(shown(&list), expected);

        let mut list = request();
        rename(&mut list, LegacyNames::Beside);
        let mut expected: Vec<_> = OLD.iter().map(ToString::to_string).collect();
        expected.extend(shown(&request()));
        expected.sort();
        assert_eq!(shown(&list), expected);
    }

    #[test]
    fn an_old_name_that_is_there_already_stays() {
        let mut list = vec![
            KeyValue::new(keys::HTTP_RESPONSE_STATUS_CODE, 200),
            KeyValue::new("http.status_code", 1),
        ];
        rename(&mut list, LegacyNames::Instead);
        assert_eq!(shown(&list), ["http.status_code=1"]);
    }
}
