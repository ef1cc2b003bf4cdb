//! What both sides share about one request and its response.
//!
//! An exchange begins when a layer starts its span and ends exactly once. Its [`Guard`] moves from
//! the future to the response's body, so that whatever happens (a last frame, an error, a caller
//! who goes away, a panic) the one who holds it last says how the exchange ended. What is known of
//! the exchange in between is in [`Live`], and those inside can [tell] it more. Most exchanges are
//! [plain HTTP](http); some are [gRPC calls](grpc), which are described otherwise. An exchange can be
//! [recorded] on a span, or [measured](metrics), or both.
//!
//! [`Guard`]: guard::Guard
//! [`Live`]: live::Live
//! [tell]: told::Told

pub(crate) mod settings;
pub(crate) mod given;
pub(crate) mod filter;
pub(crate) mod capture;
pub(crate) mod baggage;
pub(crate) mod redaction;
pub(crate) mod attributes;
pub(crate) mod hooks;
pub(crate) mod classify;
pub(crate) mod naming;
pub(crate) mod kind;
pub(crate) mod http;
pub(crate) mod grpc;
pub(crate) mod metrics;
pub(crate) mod begin;
pub(crate) mod guard;
pub(crate) mod live;
pub(crate) mod recorded;
pub(crate) mod told;
pub(crate) mod response;
pub(crate) mod body;
pub(crate) mod span_end;
pub(crate) mod error_names;
pub(crate) mod outcome;
pub(crate) mod end;
pub(crate) mod exceptions;
