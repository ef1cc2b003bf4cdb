//! What a message is recorded by, where code and environment both have a say.

use crate::{
    exchange::{
        capture::{CapturedHeaders, HeaderSelector},
        exceptions::Exceptions,
    },
    semconv::{keys, method::KnownMethods},
};

/// What the code says of one side's messages, or the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) known_methods: Option<KnownMethods>,
    pub(crate) request_headers: Option<HeaderSelector>,
    pub(crate) response_headers: Option<HeaderSelector>,
    pub(crate) exceptions: Option<Exceptions>,
}

/// What counts.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) known_methods: KnownMethods,
    pub(crate) request_headers: CapturedHeaders,
    pub(crate) response_headers: CapturedHeaders,
    pub(crate) exceptions: Exceptions,
}

impl Given {
    /// The code's word, or else what was found in the environment, or else the default.
    pub(crate) fn or(&self, found: &Self) -> Chosen {
        let headers = |given: &Option<HeaderSelector>, found: &Option<HeaderSelector>, prefix| {
            let selector = given.as_ref().or(found.as_ref()).cloned().unwrap_or_default();
            CapturedHeaders::new(selector, prefix)
        };
        let methods = self.known_methods.as_ref().or(found.known_methods.as_ref());
        Chosen {
            exceptions: self.exceptions.or(found.exceptions).unwrap_or_default(),
            known_methods: methods.cloned().unwrap_or_default(),
            request_headers: headers(
                &self.request_headers,
                &found.request_headers,
                keys::REQUEST_HEADER,
            ),
            response_headers: headers(
                &self.response_headers,
                &found.response_headers,
                keys::RESPONSE_HEADER,
            ),
        }
    }
}
