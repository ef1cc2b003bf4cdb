//! The rules: which of the errors in a chain has the word.

use std::{
    borrow::Cow,
    error::Error,
    io::{self, ErrorKind},
};

#[cfg(feature = "hyper-util")]
use crate::client::failure::hyper;
use crate::{
    client::failure::{
        chain::{chain, find},
        text::told,
    },
    semconv::error_kind,
};

// What more than one rule says. The names are .NET's, where its table has one.
pub(super) const TIMEOUT: &str = "timeout";
pub(super) const CONNECTION_CLOSED: &str = "connection_closed";
pub(super) const RESPONSE_ENDED: &str = "response_ended";
pub(super) const INVALID_REQUEST: &str = "invalid_request";
pub(super) const INVALID_RESPONSE: &str = "invalid_response";
pub(super) const HTTP_PROTOCOL_ERROR: &str = "http_protocol_error";
pub(super) const OVERLOADED: &str = "overloaded";
// What keeps a request from its server, beside the kinds below.
pub(super) const NAME_RESOLUTION_ERROR: &str = "name_resolution_error";
pub(super) const SECURE_CONNECTION_ERROR: &str = "secure_connection_error";
pub(super) const PROXY_TUNNEL_ERROR: &str = "proxy_tunnel_error";
pub(super) const CONNECTION_ERROR: &str = "connection_error";
#[cfg(feature = "reqwest")]
const DECODE_ERROR: &str = "decode_error";

/// The kinds that only an operating system gives. Of any other it is what a library means by it:
/// `InvalidData` may be a bad certificate, a bad response, or a bad file.
pub(super) const OF_CONNECTION: [ErrorKind; 10] = [
    ErrorKind::AddrInUse,
    ErrorKind::AddrNotAvailable,
    ErrorKind::BrokenPipe,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::HostUnreachable,
    ErrorKind::NetworkDown,
    ErrorKind::NetworkUnreachable,
    ErrorKind::NotConnected,
];

pub(super) type Word = Option<Cow<'static, str>>;

/// A word for an error and its sources, if the rule has one.
type Rule = fn(&(dyn Error + 'static)) -> Word;

/// The first that has a word is right. So this is the order in which causes hide one another.
const RULES: &[Rule] = &[
    // The caller's own doing has sources, too, but they are not of this exchange.
    of_caller,
    // Whatever it was that took too long.
    of_timeout,
    // A proxy may have been refused or not found, but not the server that the span names.
    #[cfg(feature = "hyper-util")]
    hyper::of_connector,
    of_text,
    // What the operating system says is more than that connecting or reading has failed.
    of_system,
    #[cfg(feature = "hyper-util")]
    hyper::of_connection,
    #[cfg(feature = "hyper-util")]
    hyper::of_exchange,
    #[cfg(feature = "reqwest")]
    of_reqwest,
    of_io,
];

/// The word for the error or for what caused it, if there is one.
pub(super) fn word(error: &(dyn Error + 'static)) -> Word {
    RULES.iter().find_map(|rule| rule(error))
}

/// What `kind` is called where it is one that says something.
pub(super) fn of_kind(kind: ErrorKind) -> Word {
    match kind {
        ErrorKind::Other => None,
        // What an operating system's code is where the standard library has no kind for it, too many
        // open files for one. On a stable compiler it has no name but this.
        kind => Some(error_kind::word(kind)).filter(|word| word != "uncategorized").map(Into::into),
    }
}

fn of_caller(error: &(dyn Error + 'static)) -> Word {
    chain(error).find_map(|link| {
        #[cfg(feature = "hyper-util")]
        if let Some(word) = link.downcast_ref().and_then(hyper::of_caller) {
            return Some(word.into());
        }
        #[cfg(feature = "reqwest")]
        if let Some(error) = link.downcast_ref::<reqwest::Error>() {
            if error.is_redirect() {
                return Some("redirect_error".into());
            }
            if error.is_builder() {
                return Some(INVALID_REQUEST.into());
            }
        }
        link.is::<http::Error>().then_some(INVALID_REQUEST.into())
    })
}

fn of_timeout(error: &(dyn Error + 'static)) -> Word {
    let says_so = |link: &(dyn Error + 'static)| {
        link.downcast_ref::<io::Error>().map_or_else(
            || told(link) == Some(TIMEOUT),
            |error| error.kind() == ErrorKind::TimedOut,
        )
    };
    chain(error).any(says_so).then_some(TIMEOUT.into())
}

fn of_text(error: &(dyn Error + 'static)) -> Word {
    chain(error).find_map(told).map(Into::into)
}

/// The kind that the operating system has given the error, or that only it can have given: HTTP/2
/// keeps the kind and forgets the code.
fn of_system(error: &(dyn Error + 'static)) -> Word {
    chain(error).find_map(|link| {
        let error = link.downcast_ref::<io::Error>()?;
        let systems = error.raw_os_error().is_some() || OF_CONNECTION.contains(&error.kind());
        of_kind(error.kind()).filter(|_| systems)
    })
}

#[cfg(feature = "reqwest")]
fn of_reqwest(error: &(dyn Error + 'static)) -> Word {
    let is = |kind: fn(&reqwest::Error) -> bool| {
        chain(error).filter_map(|link| link.downcast_ref()).any(kind)
    };
    if is(reqwest::Error::is_body) {
        // To reqwest a body that cannot be unpacked is one that fails, with its unpacker's error.
        // The error of one that breaks off is hyper's, which is asked before.
        let unpacking = find::<io::Error>(error).is_some_and(|error| {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        });
        Some(if unpacking { DECODE_ERROR } else { "response_body_error" }.into())
    } else if is(reqwest::Error::is_decode) {
        Some(DECODE_ERROR.into())
    } else {
        // The caller has made an error of a response.
        Some(find::<reqwest::Error>(error)?.status()?.as_str().to_owned().into())
    }
}

/// The kind of an `io::Error`, where nothing around it says what is meant.
fn of_io(error: &(dyn Error + 'static)) -> Word {
    of_kind(find::<io::Error>(error)?.kind())
}

#[cfg(test)]
mod tests {
    use std::{any::Any, fmt};

    use tower::{load_shed::error::Overloaded, timeout::error::Elapsed};

    use super::*;
    use crate::client::failure::chain::view;

    #[derive(Debug)]
    struct Circle;

    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("circle")
        }
    }

    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }

    #[derive(Debug)]
    struct Wrapped<E>(&'static str, E);

    impl<E> fmt::Display for Wrapped<E> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl<E: Error + 'static> Error for Wrapped<E> {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    /// The word for an error, if it is known at all.
    fn called(error: &dyn Any) -> Option<String> {
        word(view(error)?).map(Cow::into_owned)
    }

    /// The same for an error that comes in a box, as those of tower's layers do.
    fn boxed<E: Error + Send + Sync + 'static>(error: E) -> Option<String> {
        let error: Box<dyn Error + Send + Sync> = error.into();
        called(&error)
    }

    #[test]
    fn a_kind_is_called_by_its_name_if_that_says_something() {
        for (kind, word) in [
            (ErrorKind::ConnectionRefused, Some("connection_refused")),
            (ErrorKind::InvalidData, Some("invalid_data")),
            (ErrorKind::TimedOut, Some("timeout")),
            (ErrorKind::Other, None),
        ] {
            assert_eq!(called(&io::Error::from(kind)).as_deref(), word, "{kind:?}");
            assert_eq!(boxed(io::Error::new(kind, "text")).as_deref(), word, "{kind:?}");
        }
    }

    #[test]
    fn a_code_without_a_kind_has_no_word() {
        assert_eq!(called(&io::Error::from_raw_os_error(i32::MAX)), None);
    }

    #[test]
    fn what_is_no_error_or_not_known_has_no_word() {
        assert!(view(&"text").is_none());
        assert!(view(&fmt::Error).is_none());
        assert_eq!(boxed(fmt::Error), None);
        let text: Box<dyn Error + Send + Sync> = "request timed out, or was it?".into();
        assert_eq!(called(&text), None);
    }

    #[test]
    fn a_box_is_looked_into_whatever_it_promises() {
        let reset = || io::Error::from(ErrorKind::ConnectionReset);
        let boxes: [Box<dyn Any>; 3] = [
            Box::new(Box::<dyn Error + Send + Sync>::from(reset())),
            Box::new(Box::<dyn Error>::from(reset())),
            Box::new(Box::new(reset()) as Box<dyn Error + Send>),
        ];
        for error in boxes {
            assert_eq!(called(error.as_ref()).as_deref(), Some("connection_reset"));
        }
    }

    #[test]
    fn causes_are_found_in_what_wraps_them() {
        let refused = || io::Error::from(ErrorKind::ConnectionRefused);
        for error in [
            boxed(Wrapped("first", refused())),
            boxed(Wrapped("first", Wrapped("second", refused()))),
            // The source of an `io::Error` is not the error in it.
            boxed(io::Error::other(refused())),
            boxed(io::Error::other(Wrapped("first", io::Error::other(refused())))),
        ] {
            assert_eq!(error.as_deref(), Some("connection_refused"));
        }
        // A timeout is one whatever has timed out.
        let timeout =
            Wrapped("dns error", Wrapped("first", Wrapped("operation timed out", refused())));
        assert_eq!(boxed(timeout).as_deref(), Some("timeout"));
        // The name of the server is of more use than what its resolver's socket said.
        assert_eq!(
            boxed(Wrapped("dns error", refused())).as_deref(),
            Some("name_resolution_error")
        );
    }

    #[test]
    fn texts_are_those_of_their_types() {
        assert_eq!(boxed(Elapsed::new()).as_deref(), Some("timeout"));
        assert_eq!(boxed(tonic::TimeoutExpired(())).as_deref(), Some("timeout"));
        assert_eq!(boxed(Overloaded::new()).as_deref(), Some("overloaded"));
    }

    #[test]
    fn a_circle_is_left() {
        assert_eq!(chain(&Circle).count(), 16);
        assert_eq!(boxed(Circle), None);
        assert_eq!(
            boxed(io::Error::new(ErrorKind::NotFound, Circle)).as_deref(),
            Some("not_found")
        );
    }
}
