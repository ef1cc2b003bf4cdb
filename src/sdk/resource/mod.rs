//! Who sends the telemetry.
//!
//! [`ResourceBuilder`] builds the SDK's `Resource`: the service's identity and whatever else
//! describes it. Every span that is exported goes out under it.

pub use self::builder::ResourceBuilder;

mod builder;
mod from_env;
