//! The methods of gRPC that have been seen to exist.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;
use opentelemetry::StringValue;

/// Names of methods that callers have claimed, and that a call has succeeded by.
///
/// Without a list of methods a server cannot tell one from what a stranger makes up. What has
/// answered `OK` once is one.
#[derive(Debug, Default)]
pub(super) struct Methods(ArcSwap<HashSet<StringValue>>);

/// More methods than a server has. A server that answers anything with `OK` names no more than
/// these.
const MOST: usize = 1000;

impl Methods {
    /// Whether `method` is known by now, which it is if a call of it has `succeeded`.
    pub(super) fn has(&self, method: &StringValue, succeeded: bool) -> bool {
        let known = self.0.load();
        if known.contains(method) {
            return true;
        }
        if !succeeded || known.len() >= MOST {
            return false;
        }
        self.0.rcu(|known| {
            let mut known = HashSet::clone(known);
            if known.len() < MOST {
                known.insert(method.clone());
            }
            Arc::new(known)
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_known_once_a_call_of_it_has_succeeded() {
        let methods = Methods::default();
        let method = |name: &str| StringValue::from(name.to_owned());
        assert!(!methods.has(&method("a/B"), false));
        assert!(methods.has(&method("a/B"), true));
        assert!(methods.has(&method("a/B"), false));
        assert!(!methods.has(&method("a/C"), false));
    }

    #[test]
    fn a_flood_of_methods_is_bounded() {
        let methods = Methods::default();
        for at in 0..2 * MOST {
            methods.has(&format!("a/{at}").into(), true);
        }
        assert_eq!(methods.0.load().len(), MOST);
        assert!(methods.has(&"a/0".into(), false));
        assert!(!methods.has(&format!("a/{MOST}").into(), true));
    }
}
