//! `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.

use opentelemetry::KeyValue;
use percent_encoding::percent_decode_str;

use crate::sdk::{
    describe::secrets,
    env::Env,
    resource::builder::{SERVICE_INSTANCE_ID, SERVICE_NAME, is_blank},
};

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const NAME: &str = "OTEL_SERVICE_NAME";
/// Attributes that are [the SDK's to set][sdk], since it is one that exports and no other.
///
/// [sdk]: https://opentelemetry.io/docs/specs/semconv/resource/#telemetry-sdk
pub(super) const OF_THE_SDK: &str = "telemetry.sdk.";

/// The environment's attributes; `OTEL_SERVICE_NAME` comes last, since [it wins][name].
///
/// [name]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
pub(super) fn attributes(env: &mut Env) -> Vec<KeyValue> {
    let mut attributes = match env.get(ATTRIBUTES) {
        None => Vec::new(),
        Some(value) => parse(&value).unwrap_or_else(|reason| {
            env.warn(ATTRIBUTES, secrets::list(&value), format!("{reason}; none of it was used"));
            Vec::new()
        }),
    };
    attributes.retain(|KeyValue { key, value, .. }| {
        let reason = if key.as_str().starts_with(OF_THE_SDK) {
            "is the SDK's to say; it was not used"
        } else if key.as_str() == SERVICE_INSTANCE_ID && is_blank(value) {
            "is no id; it was not used"
        } else {
            return true;
        };
        env.warn(ATTRIBUTES, format!("{key}={value}"), reason);
        false
    });
    attributes.extend(env.get(NAME).map(|name| KeyValue::new(SERVICE_NAME, name)));
    attributes
}

/// `key=value,key=value`, keys and values percent-encoded. [One error discards the whole][whole].
///
/// A value's own `=` should have been encoded, too. It is taken as it is, as other SDKs do: what
/// was meant is plain.
///
/// [whole]: https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
fn parse(list: &str) -> Result<Vec<KeyValue>, &'static str> {
    list.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or("a pair has no `=`")?;
            let (key, value) = (decode(key.trim())?, decode(value.trim())?);
            if key.is_empty() {
                return Err("a key is empty");
            }
            if key == SERVICE_NAME && value.trim().is_empty() {
                return Err("service.name is empty");
            }
            Ok(KeyValue::new(key, value))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, &'static str> {
    // The decoder would take a stray `%` as it is.
    if text.match_indices('%').any(|(at, _)| !starts_with_hex_pair(&text.as_bytes()[at + 1..])) {
        return Err("a `%` is not followed by two hexadecimal digits");
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "a value is not UTF-8")?;
    Ok(decoded.into_owned())
}

fn starts_with_hex_pair(bytes: &[u8]) -> bool {
    bytes.get(..2).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_percent_decoded() {
        let read = parse("a=b, c = d%20e%2Cf%3Dg ,h=i=j,k=,%C3%BC=%E2%82%AC,").unwrap();
        let expected = [("a", "b"), ("c", "d e,f=g"), ("h", "i=j"), ("k", ""), ("ü", "€")];
        assert_eq!(read, expected.map(|(key, value)| KeyValue::new(key, value)));
    }

    #[test]
    fn the_sdks_own_attributes_are_not_the_environments_and_the_others_still_count() {
        let list = "telemetry.sdk.name=other,a=b,telemetry.sdk.version=9";
        let mut env = Env::fixed([(ATTRIBUTES.to_owned(), list.to_owned())].into());
        assert_eq!(attributes(&mut env), [KeyValue::new("a", "b")]);
        let warned: Vec<_> = env.into_warnings().iter().map(ToString::to_string).collect();
        let expected = ["name=other", "version=9"].map(|pair| {
            format!("{ATTRIBUTES} is `telemetry.sdk.{pair}`: is the SDK's to say; it was not used")
        });
        assert_eq!(warned, expected);
    }

    #[test]
    fn one_bad_pair_spoils_the_list() {
        for list in [
            "a=b,c",
            "a=b,=c",
            "a=b,c=%",
            "a=b,c=%4",
            "a=b,c=%zz",
            "a=%FF",
            "service.name=",
            "service.name=%20",
        ] {
            assert!(parse(list).is_err(), "{list}");
        }
    }
}
