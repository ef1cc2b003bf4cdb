//! An error and what caused it, of whatever type they are.

use std::{any::Any, error::Error, io, iter, net::SocketAddr};

#[cfg(feature = "hyper-util")]
use hyper_util::client::legacy;

/// Nobody wraps an error more often than this.
const LINKS: usize = 16;

/// The error as something whose sources can be followed, if it is of a type that is known here.
///
/// A service's error need not be an `Error` at all (`Box<dyn Error + Send + Sync>` is not), so it
/// comes as `Any`.
pub(super) fn view(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    fn of<E: Error + 'static>(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
        error.downcast_ref::<E>().map(|error| error as _)
    }

    if let Some(error) = error.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        return Some(error.as_ref());
    }
    if let Some(error) = error.downcast_ref::<Box<dyn Error + Send>>() {
        return Some(error.as_ref());
    }
    if let Some(error) = error.downcast_ref::<Box<dyn Error>>() {
        return Some(error.as_ref());
    }
    let known = of::<io::Error>(error).or_else(|| of::<http::Error>(error));
    #[cfg(feature = "hyper-util")]
    let known = known.or_else(|| of::<legacy::Error>(error)).or_else(|| of::<hyper::Error>(error));
    #[cfg(feature = "reqwest")]
    let known = known.or_else(|| of::<reqwest::Error>(error));
    #[cfg(feature = "tonic")]
    let known = known
        .or_else(|| of::<tonic::transport::Error>(error))
        .or_else(|| of::<tonic::Status>(error));
    known
}

/// Who was at the other end when it failed, where the error knows it: a proxy, if it was one.
#[cfg(feature = "hyper-util")]
pub(super) fn peer(error: &(dyn Error + 'static)) -> Option<SocketAddr> {
    let mut extensions = http::Extensions::new();
    find::<legacy::Error>(error)?.connect_info()?.get_extras(&mut extensions);
    extensions.get().map(legacy::connect::HttpInfo::remote_addr)
}

/// Who was at the other end when it failed. Without the feature `hyper-util` no error knows it.
#[cfg(not(feature = "hyper-util"))]
pub(super) fn peer(_: &(dyn Error + 'static)) -> Option<SocketAddr> {
    None
}

/// The error and its sources, nearest first; no more than 16, since a chain may be a circle.
pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        // The source of an `io::Error` is that of the error in it, which itself is left out.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as _),
            None => error.source(),
        }
    })
    .take(LINKS)
}

/// The nearest error of this type.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|link| link.downcast_ref())
}
