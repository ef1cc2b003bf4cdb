//! From a span's end to an exporter.
//!
//! A provider has one processor of ours, [`FanOut`], which hands each span to all [members] that
//! were asked for and shuts them down together, within one deadline. In front of every exporter is
//! a
//! [batch processor](batch); in front of all of them together, if that was asked for, is
//! [tail sampling](tail).
//!
//! [`FanOut`]: fan_out::FanOut
//! [members]: member::Member

pub(super) mod fan_out;
pub(super) mod value_length;
pub(super) mod member;
pub(super) mod jobs;
pub(super) mod batch;
pub mod tail;
