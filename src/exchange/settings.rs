//! What a layer records of a response, configured once.

use crate::{
    exchange::{
        capture::{CapturedHeaders, HeaderSelector},
        hooks::Hooks,
        redaction::Redaction,
        span_end::EndPolicy,
    },
    propagation::ResponsePropagation,
    semconv::legacy::LegacyNames,
};

/// The part of a layer's configuration that an exchange needs to its end.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) redaction: Redaction,
    pub(crate) response_headers: CapturedHeaders,
    pub(crate) response_size: bool,
    pub(crate) response_propagation: ResponsePropagation,
    pub(crate) legacy_names: Option<LegacyNames>,
    pub(crate) span_end: EndPolicy,
    pub(crate) hooks: Hooks,
}

impl Settings {
    /// The defaults, of a side whose response headers are recorded below this prefix.
    pub(crate) fn new(response_header: &'static str) -> Self {
        Self {
            redaction: Redaction::new(),
            response_headers: CapturedHeaders::new(HeaderSelector::none(), response_header),
            response_size: false,
            response_propagation: ResponsePropagation::none(),
            legacy_names: None,
            span_end: EndPolicy::default(),
            hooks: Hooks::default(),
        }
    }
}
