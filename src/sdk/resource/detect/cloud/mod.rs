//! The cloud, as far as it shows itself in variables.
//!
//! `platform` asks one provider after the other; each is a file that knows its platforms.

pub(crate) mod platform;

mod aws;
mod gcp;
mod azure;
mod fly;
