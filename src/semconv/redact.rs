//! What must not leave the process: secrets in a query.

use std::borrow::Cow;

/// In place of a secret.
const REDACTED: &str = "REDACTED";

/// The keys whose values [should be redacted][keys], over all versions of the conventions that
/// have listed any.
///
/// [keys]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
const SECRET_KEYS: [&str; 7] = [
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
];

/// The query with the values of secret keys replaced; the query itself if it has none.
///
/// Keys are compared [with case][case], and as the server would read them, so a key that is
/// percent-encoded hides nothing. All else stays as it was sent, byte for byte.
///
/// [case]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
pub(crate) fn query(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let mut clean = String::with_capacity(query.len() + REDACTED.len());
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            clean.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) if is_secret(pair) => {
                clean.push_str(key);
                clean.push('=');
                clean.push_str(REDACTED);
            }
            _ => clean.push_str(pair),
        }
    }
    Cow::Owned(clean)
}

fn is_secret(pair: &str) -> bool {
    pair.split_once('=')
        .is_some_and(|(key, _)| SECRET_KEYS.iter().any(|secret| decoded(key).eq(secret.bytes())))
}

fn decoded(key: &str) -> impl Iterator<Item = u8> {
    let mut bytes = key.bytes();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some(byte);
        }
        let mut ahead = bytes.clone();
        let digits = ahead.next().and_then(hex).zip(ahead.next().and_then(hex));
        Some(digits.map_or(byte, |(high, low)| {
            bytes = ahead;
            high << 4 | low
        }))
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_keys_are_replaced_and_all_else_stays() {
        for (sent, recorded) in [
            ("", ""),
            ("a=b", "a=b"),
            ("sig=s3cret", "sig=REDACTED"),
            ("sig=", "sig=REDACTED"),
            ("sig", "sig"),
            ("a=b&sig=s3cret&c=d", "a=b&sig=REDACTED&c=d"),
            ("sig=1&sig=2", "sig=REDACTED&sig=REDACTED"),
            ("sig=a=b", "sig=REDACTED"),
            ("SIG=x&Sig=y", "SIG=x&Sig=y"),
            ("signature=x", "signature=x"),
            ("&&aa&&sig=x&", "&&aa&&sig=REDACTED&"),
            ("s%69g=x", "s%69g=REDACTED"),
            ("%73%69%67=x", "%73%69%67=REDACTED"),
            ("sig%=x", "sig%=x"),
            ("X%2DAmz%2dCredential=x", "X%2DAmz%2dCredential=REDACTED"),
        ] {
            assert_eq!(query(sent), recorded);
        }
        for key in SECRET_KEYS {
            assert_eq!(query(&format!("{key}=x&a=b")), format!("{key}=REDACTED&a=b"));
        }
    }

    #[test]
    fn a_query_without_secrets_is_not_copied() {
        assert!(matches!(query("a=b&c=d"), Cow::Borrowed(_)));
    }
}
