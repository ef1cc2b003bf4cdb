//! The configuration in force, in words, and what may be the matter with it.
//!
//! [`Description`](description::Description) is what [`Telemetry::describe`](crate::Telemetry::describe)
//! gives: lines of what [`Configuration`](configuration::Configuration) and the telemetry's parts
//! say, and hints. For the hints, [`Used`](used::Used) knows who uses the telemetry, and
//! [`linked`] looks for a second version of OpenTelemetry in the program.

pub(super) mod configuration;
pub(super) mod description;
pub(super) mod used;
pub(super) mod secrets;
mod hints;
mod linked;
