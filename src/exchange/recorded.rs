//! What only a span that records has: its attributes on the way, and those of its end.

use std::{borrow::Cow, fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use opentelemetry::{Key, KeyValue, trace::SpanRef};

use crate::{
    exchange::{hooks::Ended, settings::Settings},
    head::ResponseHead,
    semconv::{keys::Convention, legacy},
};

/// What is known of a span that records, beside its request.
pub(crate) struct Recorded {
    /// Whether the name was given by the user, so that a route does not change it.
    pub(crate) named: bool,
    /// What hooks have set before the start.
    hook_keys: Vec<Key>,
    /// What hooks have set, once one has done so after the start.
    later: ArcSwapOption<Vec<Key>>,
}

impl Recorded {
    pub(crate) fn new(named: bool, hook_keys: Vec<Key>) -> Self {
        Self { named, hook_keys, later: ArcSwapOption::const_empty() }
    }

    /// Puts on the span what was asked for of the response's head.
    pub(crate) fn response(
        &self,
        span: &SpanRef<'_>,
        head: &ResponseHead<'_>,
        settings: &Settings,
        convention: Convention,
    ) {
        if settings.response_headers.is_empty() && settings.hooks.response.is_empty() {
            return;
        }
        let mut list = Vec::new();
        if convention == Convention::Http {
            settings.response_headers.capture(head.headers(), &settings.redaction, &mut list);
        }
        self.with_hook_keys(&mut list, |list, taken| {
            settings.hooks.response(head, list, taken, convention);
        });
        span.set_attributes(list);
    }

    /// Puts on the span what is known at its end.
    pub(crate) fn end(
        &self,
        span: &SpanRef<'_>,
        name: Option<Cow<'static, str>>,
        attributes: impl Iterator<Item = KeyValue>,
        ended: &Ended<'_>,
        settings: &Settings,
        convention: Convention,
    ) {
        if let Some(name) = name {
            span.update_name(name);
        }
        let old_names = settings.legacy_names.filter(|_| convention == Convention::Http);
        if old_names.is_none() && !settings.hooks.any_at_end() {
            span.set_attributes(attributes);
            return;
        }
        let mut list: Vec<_> = attributes.collect();
        if let Some(names) = old_names {
            legacy::rename(&mut list, names);
        }
        self.with_hook_keys(&mut list, |list, taken| {
            settings.hooks.end(ended, list, taken, convention);
        });
        span.set_attributes(list);
    }

    /// Lets hooks add to the list, and remembers what they have added.
    fn with_hook_keys(
        &self,
        list: &mut Vec<KeyValue>,
        hooks: impl FnOnce(&mut Vec<KeyValue>, &[Key]),
    ) {
        let before = list.len();
        let since = self.later.load_full();
        let taken = since.as_deref().unwrap_or(&self.hook_keys);
        hooks(list, taken);
        if list.len() > before {
            let added = list[before..].iter().map(|attribute| attribute.key.clone());
            let keys = taken.iter().cloned().chain(added).collect();
            self.later.store(Some(Arc::new(keys)));
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("named", &self.named).finish_non_exhaustive()
    }
}
