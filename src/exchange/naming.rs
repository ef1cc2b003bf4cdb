//! A user's function from a request to what it is called.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{contained::contained, head::RequestHead};

/// Gives a span's name, or a URL's template; where it gives none or panics, there is none.
#[derive(Clone)]
pub(crate) struct Naming(pub(crate) Arc<NameOf>);

pub(crate) type NameOf = dyn Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync;

impl Naming {
    pub(crate) fn of(&self, head: &RequestHead<'_>) -> Option<Cow<'static, str>> {
        contained(|| (self.0)(head)).flatten().filter(|name| !name.is_empty())
    }
}

impl fmt::Debug for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Naming")
    }
}
