//! The errors of hyper-util's client and of hyper, which reqwest's are made of, too.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use hyper_util::client::legacy;

use crate::client::failure::{
    chain::{chain, find},
    text::Text,
    word::{
        CONNECTION_CLOSED, CONNECTION_ERROR, HTTP_PROTOCOL_ERROR, INVALID_REQUEST,
        INVALID_RESPONSE, OF_CONNECTION, PROXY_TUNNEL_ERROR, RESPONSE_ENDED,
        SECURE_CONNECTION_ERROR, Word, of_kind,
    },
};

const REQUEST_BODY_ERROR: &str = "request_body_error";

/// How the text of a connector's error begins, where the rest is one of many. They are looked for
/// below hyper-util's "could not connect" alone, where no peer has said anything yet.
const CONNECTOR_TEXTS: [(&str, &str); 3] = [
    // `TunnelError` and `SocksError` of hyper-util.
    ("tunnel error: ", PROXY_TUNNEL_ERROR),
    ("SOCKS error: ", PROXY_TUNNEL_ERROR),
    // hyper-rustls, of a scheme that is not HTTP's.
    ("unsupported scheme ", INVALID_REQUEST),
];

/// hyper, of a connection that it cannot read, and of the body that was to come over it.
const NOT_READ: &str = "connection error";

/// What the error makes of the caller, if it is one of theirs.
pub(super) fn of_caller(error: &hyper::Error) -> Option<&'static str> {
    if !error.is_user() {
        return None;
    }
    // These are the body's errors and uses of the client that make no sense, but for one.
    if Text::of(error).is("dispatch task is gone") {
        return Some(CONNECTION_CLOSED);
    }
    let of_body = error.is_body_write_aborted() || error.source().is_some();
    Some(if of_body { REQUEST_BODY_ERROR } else { INVALID_REQUEST })
}

/// From hyper-util's error downwards, or tonic's, if it is that there was no connection.
pub(super) fn connecting<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    chain(error).skip_while(|link| {
        let no_connection = link.downcast_ref().is_some_and(legacy::Error::is_connect);
        #[cfg(feature = "tonic")]
        let no_connection = no_connection || link.is::<tonic::ConnectError>();
        !no_connection
    })
}

/// What a connector says that is no `io::Error`.
pub(super) fn of_connector(error: &(dyn Error + 'static)) -> Word {
    connecting(error).find_map(|link| {
        let text = Text::of(link);
        CONNECTOR_TEXTS.iter().find(|(begin, _)| text.begins(begin)).map(|(_, word)| (*word).into())
    })
}

/// That there was no connection, or no secure one.
pub(super) fn of_connection(error: &(dyn Error + 'static)) -> Word {
    let mut links = connecting(error).peekable();
    links.peek()?;
    Some(if links.any(is_of_tls) { SECURE_CONNECTION_ERROR } else { CONNECTION_ERROR }.into())
}

/// Whether an error of a connector is that of a TLS handshake.
///
/// rustls gives an `io::Error` with a kind that TCP's errors do not have, and no code. OpenSSL's
/// errors are not in an `io::Error`; what they display begins with `error:`, eight digits and the
/// library.
fn is_of_tls(link: &(dyn Error + 'static)) -> bool {
    if let Some(error) = link.downcast_ref::<io::Error>() {
        return error.raw_os_error().is_none()
            && matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
    }
    let text = Text::of(link);
    text.is("unexpected EOF") || text.begins("error:") && text.goes_on(14, ":SSL routines:")
}

/// What has become of a request that was sent.
pub(super) fn of_exchange(error: &(dyn Error + 'static)) -> Word {
    let error = find::<hyper::Error>(error)?;
    if error.is_parse() {
        return Some(INVALID_RESPONSE.into());
    }
    if error.is_incomplete_message() {
        return Some(RESPONSE_ENDED.into());
    }
    if error.is_canceled() || error.is_closed() {
        return Some(CONNECTION_CLOSED.into());
    }
    // What is left without a source is bytes that nobody has asked for.
    let Some(source) = error.source() else { return Some(INVALID_RESPONSE.into()) };
    let Some(io) = source.downcast_ref::<io::Error>() else { return of_stream(source) };
    let word = match io.kind() {
        ErrorKind::UnexpectedEof => RESPONSE_ENDED,
        // hyper cannot read: with TLS 1.3 a client hears only now that its certificate was refused.
        ErrorKind::InvalidData if Text::of(error).is(NOT_READ) => SECURE_CONNECTION_ERROR,
        // hyper has read a chunk that is none.
        ErrorKind::InvalidData | ErrorKind::InvalidInput => INVALID_RESPONSE,
        _ => CONNECTION_ERROR,
    };
    Some(word.into())
}

/// What hyper has as a source if that is no `io::Error`: the error of a body after that of its
/// connection, or an error of h2's.
///
/// h2's error has no source even if it is an `io::Error`, but then it displays that one, and so its
/// kind.
fn of_stream(source: &(dyn Error + 'static)) -> Word {
    let text = Text::of(source);
    if text.is(NOT_READ) {
        return Some(CONNECTION_ERROR.into());
    }
    if text.begins("stream error sent by user: ") {
        return Some(REQUEST_BODY_ERROR.into());
    }
    // rustls; it goes on with a link.
    if text.begins("peer closed connection without sending TLS close_notify") {
        return Some(RESPONSE_ENDED.into());
    }
    let kind = OF_CONNECTION.into_iter().find(|kind| text == Text::of(kind));
    kind.and_then(of_kind).or(Some(HTTP_PROTOCOL_ERROR.into()))
}
