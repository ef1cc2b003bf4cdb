//! gRPC: how a call is told from any other request, what it is called, and how it went.
//!
//! The words are those of the [conventions for gRPC][conventions], the facts those of [gRPC over
//! HTTP/2][protocol] and of [gRPC-Web][web].
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
//! [protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
//! [web]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md

pub(crate) mod content_type;
pub(crate) mod method;
pub(crate) mod status;
pub(crate) mod target;
pub(crate) mod timeout;
