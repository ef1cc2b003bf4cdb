//! What both sides share about one request and its response.
//!
//! An exchange begins when a layer starts its span and ends exactly once. Its [`Guard`] moves from
//! the future to the response's body, so that whatever happens (a last frame, an error, a caller
//! who goes away, a panic) the one who holds it last says how the exchange ended.
//!
//! [`Guard`]: guard::Guard

pub(crate) mod guard;
pub(crate) mod outcome;
