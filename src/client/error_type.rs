//! stub
use std::{any::Any, borrow::Cow, error::Error, net::SocketAddr};
pub(super) fn view(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<std::io::Error>().map(|e| e as _)
}
pub(super) fn word(_: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    None
}
pub(super) fn peer(_: &(dyn Error + 'static)) -> Option<SocketAddr> {
    None
}
pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::once(error)
}
