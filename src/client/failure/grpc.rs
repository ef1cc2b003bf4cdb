//! Which status a call has that has failed without one.

use std::error::Error;

#[cfg(feature = "hyper-util")]
use crate::client::failure::{chain::find, hyper};
use crate::{
    client::failure::{
        chain::chain,
        text::Text,
        word::{
            self, CONNECTION_CLOSED, CONNECTION_ERROR, HTTP_PROTOCOL_ERROR, INVALID_RESPONSE,
            NAME_RESOLUTION_ERROR, OVERLOADED, PROXY_TUNNEL_ERROR, RESPONSE_ENDED,
            SECURE_CONNECTION_ERROR, TIMEOUT,
        },
    },
    semconv::{error_kind, grpc::status::Status},
};

/// Words for what kept a call from its server, or cut it off, beside the kinds of the operating
/// system's errors: [trying again may help][codes].
///
/// [codes]: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
const OF_CONNECTION: [&str; 6] = [
    NAME_RESOLUTION_ERROR,
    SECURE_CONNECTION_ERROR,
    PROXY_TUNNEL_ERROR,
    CONNECTION_ERROR,
    CONNECTION_CLOSED,
    RESPONSE_ENDED,
];

/// What h2's error is of, before it says for which reason.
const OF_STREAM: [&str; 5] = [
    "stream error received: ",
    "stream error detected: ",
    "connection error received: ",
    "connection error detected: ",
    "protocol error: ",
];

/// How it begins of a server that takes no more calls, and has not looked at this one. What the
/// server has to say of it comes after that.
const GOING_AWAY: &str = "connection error received: not a result of an error";

/// The beginnings of its reasons that [have a status][reset] of their own.
///
/// [reset]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
const REASONS: [(&str, Status); 7] = [
    ("refused stream", Status::UNAVAILABLE),
    ("stream no longer needed", Status::CANCELLED),
    ("detected excessive load", Status::RESOURCE_EXHAUSTED),
    ("security properties do not meet", Status::PERMISSION_DENIED),
    ("received frame when", Status::UNKNOWN),
    ("endpoint requires HTTP/1.1", Status::UNKNOWN),
    ("unknown reason", Status::UNKNOWN),
];

/// What an error says of a call.
pub(super) enum Said {
    /// It has come in the place of a response with this status.
    Status(Status),
    /// The call has failed, which implies this one.
    Failure(Status),
}

/// What is said by an error that is called `word`.
pub(super) fn said(error: &(dyn Error + 'static), word: Option<&str>) -> Said {
    let implied = || implied(error, word);
    match of_tonic(error) {
        // Made of an error, one that it may know less of than there is to know.
        Some((status, true)) if word.is_some() => match (word, status) {
            (Some(TIMEOUT), _) | (_, Status::UNKNOWN | Status::OK) => of_failure(implied()),
            _ => Said::Failure(status),
        },
        // No error has come in the place of an `OK`.
        Some((status, _)) if status != Status::OK => Said::Status(status),
        Some(_) | None => of_failure(implied()),
    }
}

/// Of a deadline there is no more to say than the status does.
fn of_failure(status: Status) -> Said {
    match status {
        Status::DEADLINE_EXCEEDED => Said::Status(status),
        _ => Said::Failure(status),
    }
}

/// The status that the error is, and whether another error is behind it.
#[cfg(feature = "tonic")]
fn of_tonic(error: &(dyn Error + 'static)) -> Option<(Status, bool)> {
    let status = find::<tonic::Status>(error)?;
    let code = u8::try_from(i32::from(status.code())).ok()?;
    Some((Status::from_code(code)?, status.source().is_some()))
}

#[cfg(not(feature = "tonic"))]
fn of_tonic(_: &(dyn Error + 'static)) -> Option<(Status, bool)> {
    None
}

/// The status of a call that has failed with this error, which is called `word`.
fn implied(error: &(dyn Error + 'static), word: Option<&str>) -> Status {
    match word {
        _ if is_connecting(error) => Status::UNAVAILABLE,
        // A server that answers no ping is [as good as gone][ping].
        //
        // [ping]: https://github.com/grpc/grpc/blob/master/doc/keepalive.md
        Some(TIMEOUT) if is_of_connection(error) => Status::UNAVAILABLE,
        Some(TIMEOUT) => Status::DEADLINE_EXCEEDED,
        Some(OVERLOADED) => Status::RESOURCE_EXHAUSTED,
        Some(INVALID_RESPONSE) => Status::INTERNAL,
        Some(HTTP_PROTOCOL_ERROR) => of_stream(error).unwrap_or(Status::UNKNOWN),
        Some(word) if cuts_off(word) => Status::UNAVAILABLE,
        _ => Status::UNKNOWN,
    }
}

fn cuts_off(word: &str) -> bool {
    OF_CONNECTION.contains(&word)
        || word::OF_CONNECTION.into_iter().any(|kind| error_kind::word(kind) == word)
}

fn of_stream(error: &(dyn Error + 'static)) -> Option<Status> {
    chain(error).find_map(|link| {
        let text = Text::of(link);
        if text.begins(GOING_AWAY) {
            return Some(Status::UNAVAILABLE);
        }
        let prefix = OF_STREAM.into_iter().find(|prefix| text.begins(prefix))?;
        let reason = REASONS.iter().find(|(reason, _)| text.goes_on(prefix.len(), reason));
        Some(reason.map_or(Status::INTERNAL, |(_, status)| *status))
    })
}

/// Whether there was no connection.
fn is_connecting(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "hyper-util")]
    let connecting = hyper::connecting(error).next().is_some();
    #[cfg(not(feature = "hyper-util"))]
    let connecting = {
        let _ = error;
        false
    };
    connecting
}

/// Whether the error is that of a connection, and not of a layer that waits no longer.
fn is_of_connection(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "hyper-util")]
    let of_connection = find::<::hyper::Error>(error).is_some();
    #[cfg(not(feature = "hyper-util"))]
    let of_connection = {
        let _ = error;
        false
    };
    of_connection
}

#[cfg(all(test, feature = "tonic"))]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_http2_stands_for_what_it_does_to_tonic() {
        // One more than there are.
        for code in 0..=14 {
            let error = h2::Error::from(h2::Reason::from(code));
            let ours = implied(&error, Some("http_protocol_error"));
            let tonics = tonic::Status::from(error).code();
            assert_eq!(i32::from(ours.code()), tonics as i32, "{code}: {tonics:?}");
        }
    }

    /// An error that displays this.
    #[derive(Debug)]
    struct Says(String);

    impl std::fmt::Display for Says {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl Error for Says {}

    #[test]
    fn what_is_reset_has_a_status_by_its_reason_and_a_server_that_goes_away_is_unavailable() {
        let of = |text: String| implied(&Says(text), Some(HTTP_PROTOCOL_ERROR)).name();
        for prefix in OF_STREAM {
            // All but the one of a server that goes away.
            for reason in (1..=14).map(h2::Reason::from) {
                let bare = implied(&h2::Error::from(reason), Some(HTTP_PROTOCOL_ERROR));
                assert_eq!(of(format!("{prefix}{reason}")), bare.name(), "{prefix}{reason}");
            }
        }
        assert_eq!(of(format!("stream error received: {}", h2::Reason::NO_ERROR)), "INTERNAL");
        let going_away = format!("connection error received: {}", h2::Reason::NO_ERROR);
        assert_eq!(of(format!("{going_away} (b\"max_age\")")), "UNAVAILABLE");
        assert_eq!(of(going_away), "UNAVAILABLE");
        assert_eq!(of("user error: stream no longer needed".to_owned()), "UNKNOWN");
    }

    #[test]
    fn a_word_stands_for_a_status() {
        let error = std::fmt::Error;
        for (word, name) in [
            (Some(TIMEOUT), "DEADLINE_EXCEEDED"),
            (Some("overloaded"), "RESOURCE_EXHAUSTED"),
            (Some("invalid_response"), "INTERNAL"),
            (Some("http_protocol_error"), "UNKNOWN"),
            (Some("request_body_error"), "UNKNOWN"),
            (Some("not_found"), "UNKNOWN"),
            (None, "UNKNOWN"),
        ] {
            assert_eq!(implied(&error, word).name(), name, "{word:?}");
        }
        let kinds = word::OF_CONNECTION.map(error_kind::word);
        let kinds = kinds.iter().map(|kind| &**kind);
        for word in OF_CONNECTION.into_iter().chain(kinds) {
            assert_eq!(implied(&error, Some(word)).name(), "UNAVAILABLE", "{word}");
            let said = include_str!("words.md").contains(&format!("`{word}`"));
            assert!(said, "{word} is in the table");
        }
    }
}
