//! gRPC: what makes a call of an exchange.
//!
//! A request whose content type is one of gRPC's is a call. Its span has the attributes of the
//! [conventions for RPC][conventions] instead of HTTP's, and ends with the trailers, where the
//! status is. All else, from filter to guard, is as for any other request.
//!
//! [`Grpc`] is what the user says of calls, with [`GrpcMethods`] as a list of them; a [`Call`] is
//! one of them, and [`Trailers`] finds what gRPC-Web hides in the body.
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
//! [`Call`]: call::Call
//! [`Grpc`]: settings::Grpc
//! [`GrpcMethods`]: methods::GrpcMethods
//! [`Trailers`]: web::Trailers

pub(crate) mod call;
pub(crate) mod methods;
pub(crate) mod settings;
pub(crate) mod web;
