//! How an exchange ended, and what that makes of its span.

use std::borrow::Cow;

use http::StatusCode;

use crate::semconv::{
    keys::OTHER,
    status::{self, is_client_error, is_server_error},
};

/// Whose span it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The response has been handed over to its end.
    Complete,
    /// The head has been handed over, and the span was to wait for no more.
    Answered,
    /// The service or the body gave an error, which is nothing but the status of a gRPC call.
    Status,
    /// The service or the body gave an error, which is called this.
    Failed(Cow<'static, str>),
    /// Whoever waited for the response let go of it.
    Cancelled,
    /// The service or the body panicked.
    Panicked,
}

impl Outcome {
    /// The service's error, or the body's, of this type.
    pub(crate) fn error<E>() -> Self {
        Self::Failed(name_of_type(std::any::type_name::<E>()).into())
    }

    /// Whether the response says how the exchange went. On a server nothing can be said for a
    /// client that went away; a client that wants no more of a response has [not
    /// failed][cancelled].
    ///
    /// [cancelled]: https://opentelemetry.io/docs/specs/semconv/general/recording-errors/
    pub(crate) fn is_the_responses(&self, side: Side) -> bool {
        match self {
            Self::Complete | Self::Answered => true,
            Self::Cancelled => side == Side::Client,
            Self::Status | Self::Failed(_) | Self::Panicked => false,
        }
    }

    /// The [`error.type`], if the span is one of an error. `failed` is what a classifier says of a
    /// response, and `told` what the service says that the error is.
    ///
    /// What broke the response off says more than its status code, which has an attribute of its
    /// own. The names are ours, since the conventions have none for a client that went away.
    ///
    /// [`error.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
    pub(crate) fn error_type(
        self,
        side: Side,
        status_code: Option<StatusCode>,
        failed: Option<bool>,
        told: Option<Cow<'static, str>>,
    ) -> Option<Cow<'static, str>> {
        match self {
            Self::Failed(name) => Some(told.unwrap_or(name)),
            Self::Panicked => Some("panic".into()),
            Self::Cancelled if side == Side::Server => Some("cancelled".into()),
            Self::Complete | Self::Answered | Self::Status | Self::Cancelled => {
                let status_code = status_code?;
                let failed = failed.unwrap_or_else(|| match side {
                    Side::Server => is_server_error(status_code),
                    Side::Client => is_client_error(status_code),
                });
                failed.then(|| told.unwrap_or_else(|| by_status_code(status_code)))
            }
        }
    }
}

fn by_status_code(status_code: StatusCode) -> Cow<'static, str> {
    // A classifier may find that a 200 has failed; the code is no word for that.
    if status_code.as_u16() < 400 {
        return OTHER.into();
    }
    status::text(status_code)
}

/// Of an error in a box, or behind another pointer, the name says nothing.
pub(crate) fn name_of_type(name: &'static str) -> &'static str {
    const POINTERS: [&str; 3] = ["alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"];
    let name_of_target = name.trim_start_matches('&');
    let target = POINTERS.iter().find_map(|pointer| name_of_target.strip_prefix(pointer));
    if target.unwrap_or(name_of_target).starts_with("dyn ") { OTHER } else { name }
}

#[cfg(test)]
mod tests {
    use std::{any::type_name, error::Error};

    use super::*;

    #[test]
    fn what_broke_off_the_response_is_named_before_its_status_code() {
        let ok = Some(StatusCode::OK);
        let not_modified = Some(StatusCode::NOT_MODIFIED);
        let not_found = Some(StatusCode::NOT_FOUND);
        let internal = Some(StatusCode::INTERNAL_SERVER_ERROR);
        for (outcome, status_code, failed, told, error) in [
            (Outcome::Complete, ok, None, None, None),
            (Outcome::Complete, ok, None, Some("told"), None),
            (Outcome::Complete, not_found, None, None, None),
            (Outcome::Complete, internal, None, None, Some("500")),
            (Outcome::Complete, internal, None, Some("told"), Some("told")),
            (Outcome::Complete, internal, Some(false), None, None),
            (Outcome::Complete, not_found, Some(true), None, Some("404")),
            (Outcome::Complete, ok, Some(true), None, Some("_OTHER")),
            (Outcome::Complete, not_modified, Some(true), None, Some("_OTHER")),
            (Outcome::Answered, ok, None, None, None),
            (Outcome::Answered, internal, None, None, Some("500")),
            (Outcome::Failed("io::Error".into()), None, None, None, Some("io::Error")),
            (Outcome::Failed("io::Error".into()), ok, Some(false), None, Some("io::Error")),
            (Outcome::Failed("io::Error".into()), internal, None, Some("told"), Some("told")),
            (Outcome::Cancelled, None, None, Some("told"), Some("cancelled")),
            (Outcome::Cancelled, ok, None, None, Some("cancelled")),
            (Outcome::Panicked, None, None, Some("told"), Some("panic")),
        ] {
            let told = told.map(Cow::Borrowed);
            let actual =
                outcome.clone().error_type(Side::Server, status_code, failed, told.clone());
            assert_eq!(actual.as_deref(), error, "{outcome:?} {status_code:?} {failed:?} {told:?}");
        }
    }

    #[test]
    fn a_client_that_wants_no_more_has_not_failed() {
        let ok = Some(StatusCode::OK);
        let not_found = Some(StatusCode::NOT_FOUND);
        for (outcome, status_code, failed, error) in [
            (Outcome::Cancelled, None, None, None),
            (Outcome::Cancelled, ok, None, None),
            (Outcome::Cancelled, not_found, None, Some("404")),
            (Outcome::Cancelled, not_found, Some(false), None),
            (Outcome::Answered, not_found, None, Some("404")),
            (Outcome::Answered, not_found, Some(false), None),
            (Outcome::Failed("timeout".into()), ok, Some(false), Some("timeout")),
            (Outcome::Panicked, None, None, Some("panic")),
        ] {
            let actual = outcome.clone().error_type(Side::Client, status_code, failed, None);
            assert_eq!(actual.as_deref(), error, "{outcome:?} {status_code:?} {failed:?}");
        }
    }

    #[test]
    fn an_error_is_named_by_its_type_and_a_box_is_no_name() {
        assert_eq!(Outcome::error::<std::fmt::Error>(), Outcome::Failed("core::fmt::Error".into()));
        type Boxed = Box<dyn Error + Send + Sync>;
        assert_eq!(Outcome::error::<Boxed>(), Outcome::Failed("_OTHER".into()));
        for pointer in [
            type_name::<std::sync::Arc<dyn Error>>(),
            type_name::<&dyn Error>(),
            type_name::<dyn Error + Send>(),
        ] {
            assert_eq!(name_of_type(pointer), "_OTHER", "{pointer}");
        }
        assert_ne!(name_of_type(type_name::<Box<std::fmt::Error>>()), "_OTHER");
    }
}
