//! Entries of baggage that are on the span, too.

use std::{fmt, sync::Arc};

use opentelemetry::{Context, Key, KeyValue, baggage::BaggageExt};

use crate::{error::BuildError, propagation::baggage, semconv::keys::Convention};

/// The keys that were asked for.
#[derive(Clone, Default)]
pub(crate) struct BaggageKeys(Vec<Key>);

impl BaggageKeys {
    pub(crate) fn of<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Result<Self, BuildError> {
        let mut list: Vec<Key> = Vec::new();
        for key in keys {
            let key = key.as_ref();
            let wrong = |is| Err(BuildError::new("baggage attribute", key, is));
            if !baggage::is_key(key) {
                return wrong("is no key that an entry of baggage can have");
            }
            if [Convention::Http, Convention::Rpc].iter().any(|layers| layers.is_ours(key)) {
                return wrong("is an attribute of the layer's own");
            }
            if !list.iter().any(|known| known.as_str() == key) {
                list.push(Key::from(Arc::<str>::from(key)));
            }
        }
        Ok(Self(list))
    }

    /// Adds those that the Context has. Whether there were any.
    pub(crate) fn capture(&self, cx: &Context, list: &mut Vec<KeyValue>) -> bool {
        if self.0.is_empty() || cx.baggage().is_empty() {
            return false;
        }
        let before = list.len();
        let baggage = cx.baggage();
        list.extend(self.0.iter().filter_map(|key| {
            let value = baggage.get(key.as_str())?;
            Some(KeyValue::new(key.clone(), value.clone()))
        }));
        list.len() > before
    }
}

impl fmt::Debug for BaggageKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(Key::as_str)).finish()
    }
}
