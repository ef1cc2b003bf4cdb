//! What acts are on the wire, and requests over HTTP/1.1.

use bytes::Bytes;
use http::{Request, Version};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{Reason, line::Line};

/// How acts look on the wire.
pub(super) enum Form {
    Http1 { chunked: bool },
    Http2 { stream: u32 },
}

/// Types and flags of HTTP/2 frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Form {
    pub(super) fn head(&mut self, status_code: u16, headers: &[(&'static str, String)]) -> Vec<u8> {
        match self {
            Self::Http1 { chunked } => {
                let has = |name| headers.iter().any(|header| header.0 == name);
                let bodiless = status_code < 200 || status_code == 204 || status_code == 304;
                *chunked = !bodiless && !has("content-length") && !has("connection");
                let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
                let lines = lines.collect::<String>();
                let coding = if *chunked { "transfer-encoding: chunked\r\n" } else { "" };
                format!("HTTP/1.1 {status_code} \r\n{lines}{coding}\r\n").into()
            }
            Self::Http2 { stream } => {
                let mut block = field(":status", &status_code.to_string());
                block.extend(headers.iter().flat_map(|(name, value)| field(name, value)));
                frame(HEADERS, END_HEADERS, *stream, &block)
            }
        }
    }

    pub(super) fn data(&self, data: &Bytes) -> Vec<u8> {
        match self {
            Self::Http1 { chunked: false } => data.to_vec(),
            // An empty chunk would be the last one.
            Self::Http1 { .. } if data.is_empty() => Vec::new(),
            Self::Http1 { .. } => {
                let size = format!("{:x}\r\n", data.len());
                [size.as_bytes(), data, b"\r\n"].concat()
            }
            // No client has to take larger frames.
            Self::Http2 { stream } => {
                data.chunks(16_384).flat_map(|part| frame(DATA, 0, *stream, part)).collect()
            }
        }
    }

    pub(super) fn end(&self, trailer: Option<(&str, &str)>) -> Vec<u8> {
        match (self, trailer) {
            (Self::Http1 { chunked: false }, _) => Vec::new(),
            (Self::Http1 { .. }, None) => "0\r\n\r\n".into(),
            (Self::Http1 { .. }, Some((name, value))) => {
                format!("0\r\n{name}: {value}\r\n\r\n").into()
            }
            (Self::Http2 { stream }, None) => frame(DATA, END_STREAM, *stream, &[]),
            (Self::Http2 { stream }, Some((name, value))) => {
                frame(HEADERS, END_STREAM | END_HEADERS, *stream, &field(name, value))
            }
        }
    }

    pub(super) fn rst_stream(&self, reason: Reason) -> Vec<u8> {
        let Self::Http2 { stream } = self else { panic!("HTTP/1.1 has no streams") };
        frame(RST_STREAM, 0, *stream, &(reason as u32).to_be_bytes())
    }
}

pub(super) fn go_away(last: u32, reason: Reason) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), (reason as u32).to_be_bytes()].concat())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header in HPACK, as a literal that goes into no table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            field.push(u8::try_from(length).unwrap());
        } else {
            field.push(127);
            length -= 127;
            while length >= 128 {
                field.push(u8::try_from(length % 128 + 128).unwrap());
                length /= 128;
            }
            field.push(u8::try_from(length).unwrap());
        }
        field.extend(text.as_bytes());
    }
    field
}

/// The next request over HTTP/1.1, with all of its body; none if the client is gone, or speaks
/// something else.
pub(super) async fn read_request(reader: &mut BufReader<Line>) -> Option<Request<Bytes>> {
    let first = read_line(reader).await?;
    let mut words = first.split(' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    request = request.version(match words.next()? {
        "HTTP/1.0" => Version::HTTP_10,
        _ => Version::HTTP_11,
    });
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = read_line(reader).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "transfer-encoding" => chunked = true,
            _ => {}
        }
        request = request.header(name, value.trim());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    while chunked {
        let size = usize::from_str_radix(&read_line(reader).await?, 16).ok()?;
        let before = body.len();
        body.resize(before + size, 0);
        reader.read_exact(&mut body[before..]).await.ok()?;
        chunked = size > 0;
        // After a chunk there is one empty line; after the last, trailers come first.
        while !read_line(reader).await?.is_empty() {}
    }
    request.body(body.into()).ok()
}

async fn read_line(reader: &mut BufReader<Line>) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
