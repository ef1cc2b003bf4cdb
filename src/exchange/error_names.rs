//! What a user's functions call errors of their types.

use std::{any::Any, borrow::Cow, error::Error, fmt, marker::PhantomData, sync::Arc};

/// The functions of a layer, the first of which to give a name has named the error.
#[derive(Clone, Default)]
pub(crate) struct ErrorNames(Vec<Arc<dyn Name>>);

trait Name: Send + Sync {
    /// The error, if it is of this one's type.
    fn view<'a>(&self, error: &'a dyn Any) -> Option<&'a (dyn Error + 'static)>;

    fn of(&self, error: &(dyn Error + 'static)) -> Option<Cow<'static, str>>;
}

struct Named<E, F> {
    name: F,
    of: PhantomData<fn(&E)>,
}

impl<E, F> Name for Named<E, F>
where
    E: Error + 'static,
    F: Fn(&E) -> Option<Cow<'static, str>> + Send + Sync,
{
    fn view<'a>(&self, error: &'a dyn Any) -> Option<&'a (dyn Error + 'static)> {
        error.downcast_ref::<E>().map(|error| error as _)
    }

    fn of(&self, error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
        (self.name)(error.downcast_ref()?).filter(|name| !name.is_empty())
    }
}

impl ErrorNames {
    pub(crate) fn push<E, F>(&mut self, name: F)
    where
        E: Error + 'static,
        F: Fn(&E) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        self.0.push(Arc::new(Named { name, of: PhantomData }));
    }

    /// An error of any type, if it is of one that has a function.
    pub(crate) fn view<'a>(&self, error: &'a dyn Any) -> Option<&'a (dyn Error + 'static)> {
        self.0.iter().find_map(|names| names.view(error))
    }

    /// What it is called.
    pub(crate) fn of(&self, error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
        self.0.iter().find_map(|names| names.of(error))
    }
}

impl fmt::Debug for ErrorNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} types", self.0.len())
    }
}
