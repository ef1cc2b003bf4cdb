//! The trailers of gRPC-Web, which are the last message of the body.

use std::{fmt, io::IoSlice, mem};

use bytes::Buf;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::semconv::grpc::content_type::Encoding;

/// Finds the [trailers] in a body that goes by. Messages are skipped, of trailers no more is kept
/// than 16 KiB and 64 lines.
///
/// [trailers]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md#protocol-differences-vs-grpc-over-http2
pub(crate) struct Trailers {
    /// In `application/grpc-web-text` all is in base64.
    base64: Option<Base64>,
    at: At,
}

/// What was found in a frame.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Trailers(HeaderMap),
    /// From here on nothing can be known.
    Unreadable,
}

/// Where in the body the next byte is.
enum At {
    /// In the five bytes before a message: flags, and its length.
    Prefix([u8; PREFIX], usize),
    /// So many bytes before a message's end.
    Message(u32),
    /// The same of the trailers, and what there was of them by now.
    Trailers(u32, Vec<u8>),
    End,
    Lost,
}

const PREFIX: usize = 5;

/// The flag of trailers. With that of a compressed message they could not be read.
const OF_TRAILERS: u8 = 0x80;

/// How much of the trailers is kept, in bytes and in lines.
const MOST: usize = 16 * 1024;
const MOST_LINES: usize = 64;

/// How many pieces a frame may be in.
const PIECES: usize = 64;

impl Trailers {
    /// Those in the body after this head, if it is one of gRPC-Web.
    pub(crate) fn in_body_of(head: &HeaderMap) -> Option<Self> {
        let base64 = match Encoding::of(head)? {
            Encoding::Http2 => return None,
            Encoding::Web => None,
            Encoding::WebText => Some(Base64::default()),
        };
        let packed = head.get(header::CONTENT_ENCODING).is_some_and(|how| how != "identity");
        let at = if packed { At::Lost } else { At::Prefix([0; PREFIX], 0) };
        Some(Self { base64, at })
    }

    /// Another frame of the body.
    pub(crate) fn read(&mut self, data: &impl Buf) -> Found {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = data.chunks_vectored(&mut pieces);
        let pieces = &pieces[..count];
        if pieces.iter().map(|piece| piece.len()).sum::<usize>() < data.remaining() {
            // A frame of too many pieces, or of a type that shows the first one alone.
            self.at = At::Lost;
        }
        if let Some(trailers) = pieces.iter().find_map(|piece| self.piece(piece)) {
            return Found::Trailers(trailers);
        }
        if let At::Lost = self.at { Found::Unreadable } else { Found::Nothing }
    }

    fn piece(&mut self, piece: &[u8]) -> Option<HeaderMap> {
        let Some(base64) = &mut self.base64 else {
            return self.at.read(piece);
        };
        let mut decoded = [0; 256];
        let mut rest = piece;
        while !rest.is_empty() && !self.at.is_over() {
            let length;
            (length, rest) = base64.decode(rest, &mut decoded);
            let trailers = self.at.read(&decoded[..length]);
            if trailers.is_some() {
                return trailers;
            }
        }
        None
    }
}

impl At {
    fn is_over(&self) -> bool {
        matches!(self, Self::End | Self::Lost)
    }

    fn read(&mut self, mut bytes: &[u8]) -> Option<HeaderMap> {
        while !bytes.is_empty() {
            match self {
                Self::Prefix(prefix, length) => {
                    let (taken, rest) = bytes.split_at(bytes.len().min(PREFIX - *length));
                    prefix[*length..][..taken.len()].copy_from_slice(taken);
                    *length += taken.len();
                    bytes = rest;
                    if *length == PREFIX {
                        let [flags, a, b, c, d] = *prefix;
                        let length = u32::from_be_bytes([a, b, c, d]);
                        *self = match flags {
                            OF_TRAILERS => Self::Trailers(length, Vec::new()),
                            flags if flags & OF_TRAILERS == 0 => Self::Message(length),
                            _ => Self::Lost,
                        };
                    }
                }
                Self::Message(left) => *left -= skip(&mut bytes, *left).1,
                Self::Trailers(left, text) => {
                    let (taken, length) = skip(&mut bytes, *left);
                    *left -= length;
                    text.extend_from_slice(&taken[..taken.len().min(MOST - text.len())]);
                }
                Self::End | Self::Lost => return None,
            }
            // What is empty ends where it begins.
            match self {
                Self::Message(0) => *self = Self::Prefix([0; PREFIX], 0),
                Self::Trailers(0, text) => {
                    let trailers = parsed(&mem::take(text));
                    *self = Self::End;
                    return Some(trailers);
                }
                _ => {}
            }
        }
        None
    }
}

/// Takes the bytes off that are still a part of what has so many `left`.
fn skip<'a>(bytes: &mut &'a [u8], left: u32) -> (&'a [u8], u32) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(left);
    let (taken, rest) = bytes.split_at(length as usize);
    *bytes = rest;
    (taken, length)
}

/// A line for each; one that is none is left out.
fn parsed(text: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n').take(MOST_LINES) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.trim_ascii()), HeaderValue::from_bytes(value))
        {
            trailers.append(name, value);
        }
    }
    trailers
}

/// Base64 of which each part may end with [padding of its own][text].
///
/// [text]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md#protocol-differences-vs-grpc-over-http2
#[derive(Default)]
struct Base64 {
    bits: u32,
    count: u32,
}

impl Base64 {
    /// Fills `decoded` as far as that goes: how far that is, and what was not looked at.
    fn decode<'a>(&mut self, text: &'a [u8], decoded: &mut [u8]) -> (usize, &'a [u8]) {
        let mut length = 0;
        for (at, char) in text.iter().enumerate() {
            if length == decoded.len() {
                return (length, &text[at..]);
            }
            let Some(sextet) = sextet(*char) else {
                if *char == b'=' {
                    *self = Self::default();
                }
                continue;
            };
            self.bits = (self.bits << 6 | sextet) & 0xffff;
            self.count += 6;
            if self.count >= 8 {
                self.count -= 8;
                decoded[length] = (self.bits >> self.count).to_be_bytes()[3];
                length += 1;
            }
        }
        (length, &[])
    }
}

/// `None` for padding, line breaks, and what has no place there.
fn sextet(char: u8) -> Option<u32> {
    Some(u32::from(match char {
        b'A'..=b'Z' => char - b'A',
        b'a'..=b'z' => char - b'a' + 26,
        b'0'..=b'9' => char - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

impl fmt::Debug for Trailers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trailers")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn of(content_type: &'static str) -> Trailers {
        let mut head = HeaderMap::new();
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Trailers::in_body_of(&head).unwrap()
    }

    fn binary() -> Trailers {
        of("application/grpc-web+proto")
    }

    fn text() -> Trailers {
        of("application/grpc-web-text")
    }

    fn trailers(found: Found) -> Option<HeaderMap> {
        match found {
            Found::Trailers(trailers) => Some(trailers),
            Found::Nothing | Found::Unreadable => None,
        }
    }

    fn message(flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap();
        [&[flags], &length.to_be_bytes()[..], content].concat()
    }

    fn status(trailers: &HeaderMap) -> &str {
        trailers["grpc-status"].to_str().unwrap()
    }

    /// Base64 by the book.
    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let digits: Vec<u8> =
            (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/").collect();
        let mut text = Vec::new();
        for group in bytes.chunks(3) {
            let mut bits = [0; 4];
            bits[1..=group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(bits);
            for place in 0..4_usize {
                let digit = digits[(bits >> (18 - 6 * place)) as usize & 63];
                text.push(if place <= group.len() { digit } else { b'=' });
            }
        }
        text
    }

    #[test]
    fn trailers_are_found_behind_messages_however_the_body_is_cut() {
        let whole = [
            message(0, b"a message"),
            message(1, b""),
            message(0, &[0x80; 700]),
            message(
                0x80,
                b"grpc-status:5\r\ngrpc-message:no such item\r\nx-shard: 7\r\nX-Shard:8\r\n",
            ),
        ]
        .concat();
        let as_text = encoded(&whole);
        for size in [1, 2, 3, 4, 5, 7, 64, 255, 256, 257, whole.len(), as_text.len()] {
            for (mut reader, body) in [(binary(), &whole), (text(), &as_text)] {
                let mut frames = body.chunks(size).map(Bytes::copy_from_slice);
                let found = frames.find_map(|frame| trailers(reader.read(&frame))).unwrap();
                assert_eq!(status(&found), "5", "{size}");
                let shards: Vec<_> = found.get_all("x-shard").iter().collect();
                assert_eq!(shards, ["7", "8"]);
                assert!(frames.all(|rest| matches!(reader.read(&rest), Found::Nothing)));
            }
        }
    }

    #[test]
    fn each_message_may_have_padding_of_its_own_and_lines_may_break() {
        let parts = [message(0, b"1"), message(0, b"22"), message(0x80, b"grpc-status: 0")];
        let mut body: Vec<u8> = parts.iter().flat_map(|part| encoded(part)).collect();
        body.insert(2, b'\n');
        body.splice(9..9, *b"\r\n ");
        let found = trailers(text().read(&Bytes::from(body))).unwrap();
        assert_eq!(status(&found), "0");
    }

    #[test]
    fn a_frame_of_several_pieces_is_read_whole() {
        let whole = message(0x80, b"grpc-status:13\r\n");
        let (a, b) = whole.split_at(9);
        assert_eq!(status(&trailers(binary().read(&a.chain(b))).unwrap()), "13");
    }

    /// A frame that shows one piece at a time.
    struct Shy(&'static [u8]);

    impl Buf for Shy {
        fn remaining(&self) -> usize {
            self.0.len()
        }

        fn chunk(&self) -> &[u8] {
            &self.0[..1]
        }

        fn advance(&mut self, count: usize) {
            self.0 = &self.0[count..];
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_guessed() {
        let mut reader = binary();
        assert!(matches!(reader.read(&Shy(b"\0\0\0\0\x01")), Found::Unreadable));
        let last = Bytes::from(message(0x80, b"grpc-status:0"));
        assert!(matches!(reader.read(&last), Found::Unreadable));

        let mut head = HeaderMap::new();
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web"));
        for (encoding, readable) in [("gzip", false), ("identity", true)] {
            head.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            let found = Trailers::in_body_of(&head).unwrap().read(&last);
            assert_eq!(trailers(found).is_some(), readable, "{encoding}");
        }
    }

    #[test]
    fn only_the_body_of_grpc_web_has_trailers_in_it() {
        let mut head = HeaderMap::new();
        assert!(Trailers::in_body_of(&head).is_none());
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
        assert!(Trailers::in_body_of(&head).is_none());
    }

    #[test]
    fn strangers_bytes_end_nothing_and_keep_little() {
        for (body, found) in [
            (message(0x80, b""), Some(0)),
            (message(0x81, b"grpc-status:0"), None),
            (message(0x80, b"no colon\r\n: no name\r\nn\xff: 1\r\nx:\x01\r\n"), Some(0)),
            (vec![0xff; 1000], None),
            (b"<html>".to_vec(), None),
            (message(0x80, &b"x:1\n".repeat(100_000)), Some(MOST_LINES)),
            (message(0x80, &[&[b'x'; 2 * MOST][..], b"\ngrpc-status:0"].concat()), Some(0)),
        ] {
            let start = body[..6.min(body.len())].to_vec();
            let trailers = trailers(binary().read(&Bytes::from(body)));
            assert_eq!(trailers.as_ref().map(HeaderMap::len), found, "{start:?}");
        }
        let packed = Bytes::from(message(0x81, b"grpc-status:0"));
        assert!(matches!(binary().read(&packed), Found::Unreadable));
        let mut reader = binary();
        assert!(matches!(reader.read(&&b"\x80\xff\xff\xff\xff"[..]), Found::Nothing));
        assert!(matches!(reader.read(&Bytes::from(vec![b'x'; 1_000_000])), Found::Nothing));
        let At::Trailers(_, kept) = &reader.at else { panic!("it has not ended") };
        assert_eq!(kept.len(), MOST);
        assert!(matches!(text().read(&&b"%%%=\xff\n AAAA"[..]), Found::Nothing));
    }
}
