//! Where what is the user's may panic, and what it was asked for goes on.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs what is not ours. If it panics, the panic hook has said so by the time it is caught here,
/// and the request, or whatever else it was for, goes on without it.
pub(crate) fn contained<T>(hook: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(hook)).map_err(forget).ok()
}

/// Lets go of what a panic carried, which may panic once more. What that carries is kept, so that
/// it ends here.
fn forget(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(again);
    }
}
