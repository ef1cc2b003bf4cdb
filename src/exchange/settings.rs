//! What a layer records of a response, configured once.

use crate::{
    exchange::{
        baggage::BaggageKeys,
        capture::{CapturedHeaders, HeaderSelector},
        error_names::ErrorNames,
        exceptions::ExceptionPolicy,
        grpc::settings::Grpc,
        hooks::Hooks,
        outcome::Side,
        redaction::Redaction,
        span_end::EndPolicy,
    },
    propagation::ResponsePropagation,
    semconv::{keys, legacy::LegacyNames},
};

/// The part of a layer's configuration that an exchange needs to its end.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) side: Side,
    pub(crate) redaction: Redaction,
    pub(crate) baggage_keys: BaggageKeys,
    pub(crate) response_headers: CapturedHeaders,
    pub(crate) response_size: bool,
    pub(crate) response_propagation: ResponsePropagation,
    pub(crate) legacy_names: Option<LegacyNames>,
    pub(crate) grpc: Grpc,
    /// What counts, of what the code says, and else the environment.
    pub(crate) legacy_grpc_names: Option<LegacyNames>,
    pub(crate) span_end: EndPolicy,
    pub(crate) error_names: ErrorNames,
    pub(crate) exceptions: ExceptionPolicy,
    pub(crate) hooks: Hooks,
}

impl Settings {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            redaction: Redaction::new(),
            baggage_keys: BaggageKeys::default(),
            response_headers: CapturedHeaders::new(HeaderSelector::none(), keys::RESPONSE_HEADER),
            response_size: false,
            response_propagation: ResponsePropagation::none(),
            legacy_names: None,
            grpc: Grpc::default(),
            legacy_grpc_names: None,
            span_end: EndPolicy::of_side(side),
            error_names: ErrorNames::default(),
            exceptions: ExceptionPolicy::default(),
            hooks: Hooks::default(),
        }
    }
}
