//! Errors that can only be told by what they display.

use std::{
    error::Error,
    fmt::{self, Write},
};

use crate::client::failure::word::{
    CONNECTION_CLOSED, INVALID_REQUEST, NAME_RESOLUTION_ERROR, OVERLOADED, RESPONSE_ENDED, TIMEOUT,
};

/// What an error of a type displays that is private, or of a crate that we do not depend on, and
/// its word. There is no other way to know them; the tests have each text from the type itself.
/// They are compared as a whole, so what a peer wrote cannot come after one of them.
const TEXTS: [(&str, &str); 15] = [
    // `Elapsed` of tower and of tokio, `TimeoutError` of tower-http, `TimeoutExpired` of tonic,
    // and the `TimedOut` that both hyper and reqwest have.
    ("request timed out", TIMEOUT),
    ("deadline has elapsed", TIMEOUT),
    ("data was not received within the designated timeout", TIMEOUT),
    ("Timeout expired", TIMEOUT),
    ("operation timed out", TIMEOUT),
    // `ConnectError` of hyper-util, and what reqwest puts around it.
    ("dns error", NAME_RESOLUTION_ERROR),
    ("error resolving DNS", NAME_RESOLUTION_ERROR),
    ("invalid URL, scheme is not http", INVALID_REQUEST),
    // Kinds of hyper-util's `Error` that it has no predicate for.
    ("client error (UserAbsoluteUriRequired)", INVALID_REQUEST),
    ("client error (UserUnsupportedRequestMethod)", INVALID_REQUEST),
    ("client error (UserUnsupportedVersion)", INVALID_REQUEST),
    // `InvalidDnsNameError` of rustls.
    ("invalid dns name", INVALID_REQUEST),
    // `Overloaded` of tower.
    ("service overloaded", OVERLOADED),
    // What h2 says where the connection ended, as HTTP/1 does, after and before a request was sent.
    ("stream closed because of a broken pipe", RESPONSE_ENDED),
    ("connection closed because of a broken pipe", CONNECTION_CLOSED),
];

/// The word for what this error displays.
pub(super) fn told(link: &(dyn Error + 'static)) -> Option<&'static str> {
    let text = Text::of(link);
    TEXTS.iter().find(|(whole, _)| text.is(whole)).map(|(_, word)| *word)
}

/// The beginning of what something displays, as much as the texts above can need. The rest may be
/// huge, so it is not written: a `Display` that is told of an error stops.
#[derive(PartialEq)]
pub(super) struct Text {
    bytes: [u8; 64],
    len: usize,
    whole: bool,
}

impl Text {
    pub(super) fn of<T: fmt::Display + ?Sized>(what: &T) -> Self {
        let mut text = Self { bytes: [0; 64], len: 0, whole: true };
        text.whole &= write!(text, "{what}").is_ok();
        text
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.whole && &self.bytes[..self.len] == text.as_bytes()
    }

    pub(super) fn begins(&self, text: &str) -> bool {
        self.goes_on(0, text)
    }

    pub(super) fn goes_on(&self, at: usize, text: &str) -> bool {
        self.bytes[..self.len].get(at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A `Display` that does not stop adds nothing more.
        if !self.whole {
            return Err(fmt::Error);
        }
        let free = &mut self.bytes[self.len..];
        let fits = free.len().min(text.len());
        free[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        self.whole = fits == text.len();
        if self.whole { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error that displays a text for ever, unless it is told to stop.
    #[derive(Debug)]
    struct Huge(&'static str);

    impl fmt::Display for Huge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str(self.0)?;
            }
        }
    }

    impl Error for Huge {}

    /// An error that displays a text a few times, whether or not it is told to stop.
    #[derive(Debug)]
    struct Deaf(&'static str, usize);

    impl fmt::Display for Deaf {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for _ in 0..self.1 {
                let _ = f.write_str(self.0);
            }
            Ok(())
        }
    }

    impl Error for Deaf {}

    #[test]
    fn no_more_is_read_of_a_text_than_is_needed() {
        assert_eq!(told(&Huge("request timed out")), None);
        assert_eq!(told(&Huge("x")), None);
        assert_eq!(told(&Deaf("request timed out", 1)), Some(TIMEOUT));
        assert_eq!(told(&Deaf("request timed out", 2)), None);
        assert_eq!(told(&Deaf("0123456789abcdef0123456789abcdef0123456789", 3)), None);
        let longest = TEXTS.iter().map(|(text, _)| text.len()).max();
        assert!(longest.is_some_and(|longest| longest < Text::of("").bytes.len()));
    }
}
