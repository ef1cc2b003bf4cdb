//! What a failed request is called in `error.type`: one of a few words.
//!
//! A client's error is a [chain] of errors of many crates, the telling one at its end. Some are of
//! types that can be asked, those of [hyper](hyper) above all, and some only have a [text]. The
//! [rules](word) say which of them hides which; [outcome] is what comes of it. A [call](grpc) has a
//! status, too.

pub(super) use self::outcome::{of_body, of_request};

mod outcome;
mod word;
mod grpc;
mod chain;
mod text;
#[cfg(feature = "hyper-util")]
mod hyper;
