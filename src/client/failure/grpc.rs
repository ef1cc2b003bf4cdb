//! Which status a call has that has failed without one.

use std::error::Error;

#[cfg(any(feature = "hyper-util", feature = "tonic"))]
use crate::client::failure::chain::find;
#[cfg(feature = "hyper-util")]
use crate::client::failure::hyper;
use crate::{
    client::failure::{chain::chain, text::Text, word::TIMEOUT},
    semconv::grpc::status::Status,
};

/// Words for what kept a call from its server, or cut it off: [trying again may help][codes].
///
/// [codes]: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
const OF_CONNECTION: [&str; 16] = [
    "name_resolution_error",
    "connection_refused",
    "connection_reset",
    "connection_aborted",
    "broken_pipe",
    "not_connected",
    "host_unreachable",
    "network_unreachable",
    "network_down",
    "addr_in_use",
    "addr_not_available",
    "secure_connection_error",
    "proxy_tunnel_error",
    "connection_error",
    "connection_closed",
    "response_ended",
];

/// What h2's error is of, before it says for which reason.
const OF_STREAM: [&str; 5] = [
    "stream error received: ",
    "stream error detected: ",
    "connection error received: ",
    "connection error detected: ",
    "protocol error: ",
];

/// The beginnings of its reasons that [have a status][reset] of their own.
///
/// [reset]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
const REASONS: [(&str, Status); 7] = [
    ("refused stream", Status::UNAVAILABLE),
    ("stream no longer needed", Status::CANCELLED),
    ("detected excessive load", Status::RESOURCE_EXHAUSTED),
    ("security properties do not meet", Status::PERMISSION_DENIED),
    ("received frame when stream half-closed", Status::UNKNOWN),
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
            (Some(TIMEOUT), _) | (_, Status::UNKNOWN) => of_failure(implied()),
            _ => Said::Failure(status),
        },
        Some((status, _)) => Said::Status(status),
        None => of_failure(implied()),
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
        Some("overloaded") => Status::RESOURCE_EXHAUSTED,
        Some("invalid_response") => Status::INTERNAL,
        Some("http_protocol_error") => of_stream(error).unwrap_or(Status::UNKNOWN),
        Some(word) if OF_CONNECTION.contains(&word) => Status::UNAVAILABLE,
        _ => Status::UNKNOWN,
    }
}

fn of_stream(error: &(dyn Error + 'static)) -> Option<Status> {
    chain(error).find_map(|link| {
        let text = Text::of(link);
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
        for word in OF_CONNECTION {
            assert_eq!(implied(&error, Some(word)).name(), "UNAVAILABLE", "{word}");
            let said = include_str!("words.md").contains(&format!("`{word}`"));
            assert!(said, "{word} is in the table");
        }
    }
}
