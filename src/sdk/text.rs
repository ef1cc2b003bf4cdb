//! What is shown to people: no secrets, and words for numbers.

use opentelemetry_sdk::error::OTelSdkError;

use crate::text::legible;

/// A URL without what may be a password or a key: all before an `@` but the scheme, and all after
/// the path. It may be no URL at all, so nothing is taken for granted.
pub(crate) fn without_secrets(url: &str) -> String {
    let (before, rest) = match url.rsplit_once('@') {
        Some((before, rest)) => {
            let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
            (format!("{scheme}REDACTED@"), rest)
        }
        None => (String::new(), url),
    };
    match rest.find(['?', '#']) {
        Some(at) => format!("{before}{}REDACTED", &rest[..=at]),
        None => format!("{before}{rest}"),
    }
}

/// What an SDK's error says, without what it says of itself.
pub(crate) fn plain(error: &OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(message) => legible(message),
        error => legible(&error.to_string()),
    }
}

/// So many spans, in words.
pub(crate) fn count(spans: u64) -> String {
    match spans {
        1 => "1 span".to_owned(),
        _ => format!("{spans} spans"),
    }
}
