//! Who sends the telemetry.
//!
//! [`ResourceBuilder`] builds the SDK's `Resource`: the service's identity and whatever else
//! describes it. Every span that is exported goes out under it.
//!
//! Four say something of it, and of two that say the same thing the earlier here counts: the code,
//! the environment's two variables (`from_env`), the detectors that were asked for (`detectors`,
//! which run the ones in `detect/`), and the defaults. Only what the SDK says of itself stands over
//! the environment, too.

pub use self::builder::ResourceBuilder;

mod builder;
mod from_env;
mod detectors;
mod detect;
mod instance_id;
