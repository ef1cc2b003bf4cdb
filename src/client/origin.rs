//! Where requests go whose URL does not say it.

use http::{Uri, uri::Authority};

use crate::{error::BuildError, exchange::redaction::Redaction};

/// Scheme and authority of a URL.
#[derive(Clone, Debug)]
pub(super) struct Origin(Uri);

impl Origin {
    pub(super) fn parse(origin: &str) -> Result<Self, BuildError> {
        let uri = origin.parse::<Uri>().ok();
        uri.filter(|uri| uri.scheme().is_some() && uri.authority().is_some()).map(Self).ok_or_else(
            || {
                let origin = Redaction::new().url(origin);
                BuildError::new("origin", origin, "must be a URL, such as `http://inventory:50051`")
            },
        )
    }

    pub(super) fn scheme(&self) -> &str {
        self.0.scheme_str().unwrap_or_default()
    }

    pub(super) fn authority(&self) -> &str {
        self.0.authority().map_or("", Authority::as_str)
    }
}
