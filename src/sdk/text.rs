//! What is shown to people: no secrets, and words for numbers.

use opentelemetry_sdk::error::OTelSdkError;

use crate::text::legible;

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
