//! What kind of request it is, and so whose conventions it follows.

use std::borrow::Cow;

use crate::{
    exchange::{
        end::{End, Ending},
        grpc::call::Call,
        http::HttpRequest,
        settings::Settings,
    },
    semconv::keys::Convention,
};

/// What is known of a request from the start on.
#[derive(Debug)]
pub(crate) enum Kind {
    Http(HttpRequest),
    Grpc(Call),
}

impl Kind {
    pub(crate) fn convention(&self) -> Convention {
        match self {
            Self::Http(_) => Convention::Http,
            Self::Grpc(_) => Convention::Rpc,
        }
    }

    /// The call that it is, if it is one.
    pub(crate) fn call(&self) -> Option<&Call> {
        match self {
            Self::Grpc(call) => Some(call),
            Self::Http(_) => None,
        }
    }

    /// What a span of it is called at first.
    pub(crate) fn span_name(&self) -> Cow<'static, str> {
        match self {
            Self::Http(request) => request.span_name(),
            Self::Grpc(call) => call.span_name(),
        }
    }

    /// What the end says of it.
    pub(crate) fn end<'a>(&'a self, end: End<'a>, settings: &Settings) -> Ending<'a> {
        match self {
            Self::Http(request) => request.end(end, settings),
            Self::Grpc(call) => call.end(end, settings),
        }
    }
}
