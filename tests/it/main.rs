//! The crate from the outside, one module per behaviour.
//!
//! Whatever depends on time is polled by hand, whatever is about a wire goes over real sockets.
//! Nothing here sleeps, sets a global or has a port of its own, so all of it runs at once.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs)]

mod support;

mod attributes;
mod baggage_attributes;
mod baggage_headers;
mod client_attributes;
mod client_context;
mod client_crowds;
mod client_endings;
mod client_errors;
mod client_hooks;
mod client_metrics;
mod client_wire;
mod client_wire_endings;
mod console;
mod context;
mod describe;
mod disabled;
mod endings;
mod environment;
mod exceptions;
mod export;
mod faults;
mod feedback;
mod filter;
mod grpc_attributes;
mod grpc_calls;
mod grpc_context;
mod grpc_endings;
mod grpc_web;
mod hooks;
mod http1;
mod http2;
mod injection;
mod log_ids;
mod logs_export;
mod metrics;
mod metrics_cut_off;
mod other_formats;
mod otlp_metrics;
mod otlp_protocols;
mod otlp_proxy;
mod otlp_tls;
mod parents;
mod prometheus;
mod propagation_targets;
mod propagators;
mod received;
mod recorded;
mod resend;
mod resource;
mod round_trips;
mod routes;
mod rules;
mod sampler;
mod sampling;
mod self_metrics;
mod serving;
mod settings;
mod shutdown;
mod tables;
mod tail_sampling;
mod three_signals;
mod tower_http;
mod trace_headers;
mod tracing_world;
mod transparency;
mod trust;
mod two_services;
mod upstream;
mod validation;
