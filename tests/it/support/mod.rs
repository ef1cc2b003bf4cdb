//! What several tests need: a place for spans, bodies and servers to a script, a collector, wires.

pub(crate) mod authority;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod ends;
pub(crate) mod exchange;
pub(crate) mod far_side;
pub(crate) mod grpc;
pub(crate) mod headers;
pub(crate) mod meeting;
pub(crate) mod meters;
pub(crate) mod proxy;
pub(crate) mod recorder;
pub(crate) mod sdk;
pub(crate) mod tls;
pub(crate) mod upstream;
pub(crate) mod way;
pub(crate) mod wire;
