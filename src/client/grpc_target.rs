//! Where a gRPC channel leads.

use std::{fmt, sync::Arc};

use opentelemetry::StringValue;

use crate::{
    client::origin::Origin,
    error::BuildError,
    exchange::{attributes::Server, redaction::Redaction},
    semconv::{
        grpc::target::{self, Target},
        url,
    },
};

/// What the channel's target says of the server.
#[derive(Clone)]
pub(super) struct GrpcTarget {
    address: StringValue,
    port: Option<u16>,
    /// Where requests go, if that is a host.
    pub(super) origin: Option<Origin>,
}

impl GrpcTarget {
    pub(super) fn parse(text: &str) -> Result<Self, BuildError> {
        let text = text.trim();
        if text.is_empty() {
            let reason = "must not be empty; it is what the channel connects to, such as `http://inventory:50051`";
            return Err(BuildError::new("gRPC target", text, reason));
        }
        let Target { address, port, scheme } = target::parse(text);
        let origin = scheme.and_then(|scheme| {
            let mut origin = format!("{scheme}://");
            url::push_authority(&mut origin, address, port);
            Origin::parse(&origin).ok()
        });
        // What was not understood may be a URL with a password.
        let address: Arc<str> = Redaction::new().url(address).into();
        Ok(Self { address: address.into(), port, origin })
    }

    /// The address, and the port where there is one.
    pub(super) fn server(&self) -> Server {
        (self.address.clone(), self.port)
    }
}

impl fmt::Debug for GrpcTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.address),
            None => f.write_str(self.address.as_str()),
        }
    }
}
