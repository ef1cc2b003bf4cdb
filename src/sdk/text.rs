//! What is shown to people: no secrets.

use opentelemetry_sdk::error::OTelSdkError;

use crate::text::legible;

/// What an SDK's error says, without what it says of itself.
pub(crate) fn plain(error: &OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(message) => legible(message),
        error => legible(&error.to_string()),
    }
}
