//! The OTLP exporter: from settings to spans on a collector's side of the wire.
//!
//! [`Otlp`](settings::Otlp) is what code says; [`protocol`], [`endpoint`], [`headers`],
//! [`compression`], [`proxy`] and [`tls`] each judge their part of it, and of the environment, while
//! the telemetry is built. What is left cannot fail any more.
//!
//! A batch then goes through [`exporter`], which has [`encode`] put it into one body ([`protobuf`], or JSON), or
//! more if one would be too large, and sends each by [`retry`]: again and again, until there is an [`answer`] that
//! settles it or no time left. One attempt is [`http`]'s or [`grpc`]'s, over connections that
//! [`connect`] makes.

pub(crate) mod settings;
pub(super) mod protocol;
pub(super) mod compression;
mod endpoint;
mod headers;
mod proxy;
mod tls;
mod exporter;
mod encode;
mod protobuf;
#[cfg(feature = "otlp-json")]
mod json;
mod retry;
mod answer;
mod status;
#[cfg(feature = "otlp-http")]
mod http;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod client;
mod connect;
