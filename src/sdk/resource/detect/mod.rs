//! Where the program runs, as its files and variables tell.
//!
//! One file per detector, each with a `detect` from a [`System`](system::System) to attributes.
//! None of them looks past the `System`, so a test gives it a tree of files and no test depends on
//! the machine. What is read is a stranger's: `system` bounds how much of it, `value` says what can
//! be an attribute's value, and what is not there is left out.

pub(super) mod system;
mod value;
mod lines;
mod mountinfo;

pub(super) mod host;
pub(super) mod os;
pub(super) mod process;
mod time;
pub(super) mod command_line;
pub(super) mod container;
pub(super) mod kubernetes;
pub(super) mod cloud;
