//! Where requests go whose URL does not say it.

use std::fmt;

use http::{
    Uri,
    uri::{Authority, PathAndQuery},
};

use crate::{error::BuildError, exchange::redaction::Redaction, semconv::host};

/// Scheme and authority of a URL.
#[derive(Clone)]
pub(super) struct Origin(Uri);

impl Origin {
    pub(super) fn parse(origin: &str) -> Result<Self, BuildError> {
        let parsed = origin.parse().ok().map(Self);
        let is_whole = |origin: &Self| {
            !origin.scheme().is_empty()
                && host::parse(origin.authority()).is_some()
                && matches!(origin.0.path_and_query().map(PathAndQuery::as_str), None | Some("/"))
        };
        parsed.filter(is_whole).ok_or_else(|| {
            let reason = "must be a URL without a path, such as `http://inventory:50051`";
            BuildError::of_url("origin", origin, reason)
        })
    }

    pub(super) fn scheme(&self) -> &str {
        self.0.scheme_str().unwrap_or_default()
    }

    pub(super) fn authority(&self) -> &str {
        self.0.authority().map_or("", Authority::as_str)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Redaction::new().url(&self.0.to_string()))
    }
}
