//! How an exchange ended, and what that makes of its span.

use std::borrow::Cow;

use http::StatusCode;

use crate::semconv::status::is_server_error;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The response has been handed over to its end.
    Complete,
    /// The service or the body gave an error; this is the name of its type.
    Failed(&'static str),
    /// Whoever waited for the response let go of it.
    Cancelled,
    /// The service or the body panicked.
    Panicked,
}

impl Outcome {
    /// The [`error.type`] of a server span, if it is one of an error.
    ///
    /// What broke the response off says more than its status code, which has an attribute of its
    /// own. The names are ours, since the conventions have none for a client that went away.
    ///
    /// [`error.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
    pub(crate) fn server_error(self, status_code: Option<StatusCode>) -> Option<Cow<'static, str>> {
        match self {
            Self::Failed(type_name) => Some(type_name.into()),
            Self::Cancelled => Some("cancelled".into()),
            Self::Panicked => Some("panic".into()),
            Self::Complete => status_code
                .filter(|&status_code| is_server_error(status_code))
                .map(|status_code| status_code.as_str().to_owned().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_broke_off_the_response_is_named_before_its_status_code() {
        let ok = Some(StatusCode::OK);
        let internal = Some(StatusCode::INTERNAL_SERVER_ERROR);
        for (outcome, status_code, error) in [
            (Outcome::Complete, ok, None),
            (Outcome::Complete, Some(StatusCode::NOT_FOUND), None),
            (Outcome::Complete, internal, Some("500")),
            (Outcome::Failed("io::Error"), None, Some("io::Error")),
            (Outcome::Failed("io::Error"), ok, Some("io::Error")),
            (Outcome::Failed("io::Error"), internal, Some("io::Error")),
            (Outcome::Cancelled, None, Some("cancelled")),
            (Outcome::Cancelled, ok, Some("cancelled")),
            (Outcome::Panicked, None, Some("panic")),
        ] {
            assert_eq!(outcome.server_error(status_code).as_deref(), error, "{outcome:?}");
        }
    }
}
