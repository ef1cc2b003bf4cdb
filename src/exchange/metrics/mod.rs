//! Metrics: what a layer measures, and on what.
//!
//! An exchange is measured by the same guard that ends its span, from the same reading of the clock,
//! whether there is a span or not. [`Metrics`] is what the user says is measured, [`Instruments`] what
//! it is recorded with, and [`Measured`] one exchange on its way from the `+1` to the `-1`.
//!
//! What a stranger can make up is on no metric unless the user has asked for it, and then from a
//! list:
//! [hosts] that the user names, and [methods] of gRPC that have been seen to exist.
//!
//! [`Metrics`]: settings::Metrics
//! [`Instruments`]: instruments::Instruments
//! [`Measured`]: measured::Measured
//! [hosts]: hosts::Hosts
//! [methods]: methods::Methods

pub(crate) mod settings;
pub(crate) mod hosts;
pub(crate) mod streams;
pub(crate) mod instruments;
pub(crate) mod measuring;
pub(crate) mod measured;
mod list;
mod methods;
