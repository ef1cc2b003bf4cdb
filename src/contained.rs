//! Where what is the user's may panic, and the request goes on.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs a user's function. If it panics, the panic hook has said so by the time it is caught here,
/// and the request goes on without what the function would have done.
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
