//! What a failed request is called, and who failed it.

use std::any::Any;

use crate::{
    client::{describe, error_type},
    exchange::{contained::contained, guard::Guard, outcome::Outcome},
};

/// What the service's error makes of the exchange. Nobody was heard of yet, so the error may be the
/// one that knows who was asked.
pub(super) fn of_request<E: 'static>(guard: &Guard, error: &E) -> Outcome {
    outcome(guard, error, |error| {
        guard.set_attributes(|| describe::of_peer(error_type::peer(error)));
    })
}

/// What the body's error makes of it.
pub(super) fn of_body<E: 'static>(guard: &Guard, error: &E) -> Outcome {
    outcome(guard, error, |_| {})
}

fn outcome<E: 'static>(
    guard: &Guard,
    error: &E,
    look: impl FnOnce(&(dyn std::error::Error + 'static)),
) -> Outcome {
    let Some(settings) = guard.settings() else {
        return Outcome::error::<E>();
    };
    let error: &dyn Any = error;
    // Foreign errors are asked for their sources and their text.
    let name = contained(|| {
        let error = settings.error_names.view(error).or_else(|| error_type::view(error))?;
        look(error);
        let named = error_type::chain(error).find_map(|error| settings.error_names.of(error));
        named.or_else(|| error_type::word(error))
    });
    name.flatten().map_or_else(Outcome::error::<E>, Outcome::Failed)
}
