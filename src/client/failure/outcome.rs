//! What an error makes of the exchange.

use std::any::{Any, type_name};

use crate::{
    client::{
        describe,
        failure::{
            chain,
            grpc::{self, Said},
            word::word,
        },
    },
    contained::contained,
    exchange::{
        exceptions::Exception,
        guard::Guard,
        outcome::{Outcome, name_of_type},
    },
};

/// What the service's error makes of the exchange. Nobody was heard of yet, so the error may be the
/// one that knows who was asked.
pub(in crate::client) fn of_request<E: 'static>(guard: &Guard, error: &E) -> Outcome {
    outcome(guard, error, |error| {
        guard.set_attributes(|| describe::of_peer(chain::peer(error)));
    })
}

/// What the body's error makes of it.
pub(in crate::client) fn of_body<E: 'static>(guard: &Guard, error: &E) -> Outcome {
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
    guard.except(|with_message| {
        let error: &dyn Any = error;
        let message = || {
            let error = settings.error_names.view(error).or_else(|| chain::view(error))?;
            Some(error.to_string())
        };
        Exception {
            type_name: name_of_type(type_name::<E>()).into(),
            message: with_message.then(|| contained(message)).flatten().flatten(),
        }
    });
    let error: &dyn Any = error;
    // Foreign errors are asked for their sources and their text.
    let named = contained(|| {
        let error = settings.error_names.view(error).or_else(|| chain::view(error))?;
        look(error);
        let word = word(error);
        let named = chain::chain(error).find_map(|error| settings.error_names.of(error));
        if guard.is_call() {
            match grpc::said(error, word.as_deref()) {
                Said::Status(status) => {
                    guard.set_grpc_status(status);
                    return Some(named.map_or(Outcome::Status, Outcome::Failed));
                }
                Said::Failure(status) => guard.set_grpc_status(status),
            }
        }
        named.or(word).map(Outcome::Failed)
    });
    named.flatten().unwrap_or_else(Outcome::error::<E>)
}
