//! The OTLP exporter: from settings to a collector's side of the wire.
//!
//! [`Otlp`](settings::Otlp) is what code says; [`protocol`], [`endpoint`], [`headers`],
//! [`compression`], [`proxy`] and [`tls`] each judge their part of it, and of the environment, while
//! the telemetry is built. What is left cannot fail any more.
//!
//! Each [`signal`] has its own variables, paths and messages. [`traces`], `metrics` and `logs` put a batch into
//! one body, protobuf ([`body`]) or JSON, or more if one would be too large. The rest is the same for all: [`sender`]
//! sends each body by [`retry`], again and again, until there is an [`answer`] that settles it or no
//! time left. One attempt is [`http`]'s or [`grpc`]'s, over connections that [`connect`] makes.

pub(crate) mod settings;
pub(crate) mod signal;
pub(super) mod protocol;
pub(super) mod compression;
mod endpoint;
mod headers;
mod proxy;
mod tls;
mod traces;
#[cfg(feature = "logs")]
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod encode;
mod body;
#[cfg(feature = "otlp-json")]
mod numbers;
mod sender;
mod retry;
mod answer;
mod response;
mod status;
#[cfg(feature = "otlp-http")]
mod http;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod client;
mod connect;
