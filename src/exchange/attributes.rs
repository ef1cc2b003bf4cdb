//! The attributes of a span while they are gathered: each key once.

use opentelemetry::{Key, KeyValue, StringValue, Value};

use crate::semconv::keys::{self, Convention};

/// Takes the attributes that a hook adds to a span.
///
/// OpenTelemetry's SDK exports a key that is written twice two times, so each is written once:
///
/// * a key that is set again within one hook replaces the value before;
/// * before the span starts, a hook may replace what the layer has gathered from the request, such
///   as `client.address`, or what a hook before it has set;
/// * a key that is on the span already, or that the layer itself writes later, such as `http.route`
///   or `error.type`, stays as it is, and so does an old name of one, such as `http.target`;
///   on a server [`ServerSpan`](crate::server::ServerSpan) has the ways to set these, on a client
///   the layer's setters.
///
/// ```
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::TraceLayer;
#[doc = include_str!("../server/span_of.md")]
///
/// let layer = TraceLayer::new().on_request(|_, attributes| {
///     attributes.set("url.path", "/withheld");
///     attributes.set("http.response.status_code", 999); // the layer's own
/// });
/// let span = span_of(layer, Request::new(String::new()));
/// assert!(span.attributes.contains(&KeyValue::new("url.path", "/withheld")));
/// assert!(span.attributes.contains(&KeyValue::new("http.response.status_code", 200)));
/// ```
#[derive(Debug)]
pub struct Attributes<'a> {
    list: &'a mut Vec<KeyValue>,
    /// Where in the list begins what this hook has set.
    from: usize,
    /// What hooks have set before.
    taken: &'a [Key],
    /// Which keys are the layer's.
    convention: Convention,
    before_start: bool,
}

impl<'a> Attributes<'a> {
    /// Before the start: all of the list may still be changed.
    pub(crate) fn of_start(list: &'a mut Vec<KeyValue>, convention: Convention) -> Self {
        Self { list, from: 0, taken: &[], convention, before_start: true }
    }

    /// Once the span has started: what is on the list may be added to.
    pub(crate) fn late(
        list: &'a mut Vec<KeyValue>,
        taken: &'a [Key],
        convention: Convention,
    ) -> Self {
        let from = list.len();
        Self { list, from, taken, convention, before_start: false }
    }

    /// Adds an attribute, or replaces it where that is [still possible](Self). Else it does
    /// nothing.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("../server/span_of.md")]
    ///
    /// let layer = TraceLayer::new().on_end(|ended, attributes| {
    ///     attributes.set("shop.large", ended.response_size() > 1_000_000);
    /// });
    /// let span = span_of(layer, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("shop.large", false)));
    /// ```
    pub fn set(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        let key = key.into();
        let (before, own) = self.list.split_at_mut(self.from);
        if let Some(known) = own.iter_mut().find(|known| known.key == key) {
            known.value = value.into();
            return;
        }
        let layers_own = if self.before_start {
            self.convention.is_written_late(key.as_str())
        } else {
            self.convention.is_ours(key.as_str())
        };
        if !layers_own && !self.taken.contains(&key) && before.iter().all(|known| known.key != key)
        {
            self.list.push(KeyValue::new(key, value));
        }
    }
}

/// A server's address, and the port where it is known.
pub(crate) type Server = (StringValue, Option<u16>);

/// Adds which server it is, if that is known.
pub(crate) fn push_server(list: &mut Vec<KeyValue>, server: Option<Server>) {
    if let Some((address, port)) = server {
        list.push(KeyValue::new(keys::SERVER_ADDRESS, address));
        if let Some(port) = port {
            list.push(KeyValue::new(keys::SERVER_PORT, i64::from(port)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(list: &[KeyValue]) -> Vec<(&str, String)> {
        list.iter().map(|attribute| (attribute.key.as_str(), attribute.value.to_string())).collect()
    }

    #[test]
    fn before_the_start_what_the_request_says_can_be_replaced_and_what_comes_later_cannot() {
        let mut list = vec![KeyValue::new("url.path", "/secret")];
        let mut attributes = Attributes::of_start(&mut list, Convention::Http);
        attributes.set("url.path", "/");
        attributes.set("client.address", "somebody");
        attributes.set("mine", 1);
        attributes.set("mine", 2);
        attributes.set("http.route", "/{id}");
        attributes.set("http.response.header.x-mine", "a");
        attributes.set("http.status_code", 1);
        assert_eq!(
            keys(&list),
            [
                ("url.path", "/".to_owned()),
                ("client.address", "somebody".to_owned()),
                ("mine", "2".to_owned())
            ]
        );
    }

    #[test]
    fn later_only_new_keys_are_taken() {
        let mut list = vec![KeyValue::new("other", 1)];
        let taken = [Key::new("taken")];
        let mut attributes = Attributes::late(&mut list, &taken, Convention::Http);
        for key in ["other", "taken", "url.path", "error.type", "http.target", "mine"] {
            attributes.set(key, 2);
        }
        attributes.set("mine", 3);
        assert_eq!(keys(&list), [("other", "1".to_owned()), ("mine", "3".to_owned())]);
    }

    #[test]
    fn the_layers_keys_are_those_of_the_convention_that_a_span_follows() {
        for (convention, own, free) in [
            (Convention::Http, ["http.route", "url.path"], ["rpc.method", "rpc.status_code"]),
            (Convention::Rpc, ["rpc.method", "rpc.status_code"], ["http.route", "url.path"]),
        ] {
            let mut list = Vec::new();
            let mut attributes = Attributes::late(&mut list, &[], convention);
            for key in own.into_iter().chain(free) {
                attributes.set(key, 1);
            }
            assert_eq!(keys(&list), free.map(|key| (key, "1".to_owned())), "{convention:?}");
        }
    }
}
