//! What became of one attempt to send, whichever way it was sent.

use std::{error::Error, time::Duration};

use tokio_rustls::rustls;

use crate::{
    sdk::export::otlp::{connect::Connector, response::Response},
    text::legible,
};

/// A response says little; what is longer is not one of a collector, [and is not asked for
/// again][limit].
///
/// [limit]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
pub(super) const LONGEST: usize = 4 * 1024 * 1024;

/// Whether a batch has arrived. Every reason is fit for a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has, but for so many items, which the collector refused for this reason.
    Taken { rejected: u64, reason: String },
    /// It is not wanted, and would not be another time.
    Refused(String),
    /// It may be tried again, after so long at least if the collector says so.
    Busy { reason: String, pause: Option<Duration> },
    /// There was no connection, or none any more. One that was used before may have been closed
    /// while it was idle, and says nothing of the collector.
    Broken { reason: String, cut: bool },
    /// There is no connection, nor would there be another time.
    Hopeless(String),
}

impl Answer {
    /// What the collector took, by its own words. A [partial success] may not be repeated. A
    /// warning, with nothing rejected, is no loss.
    ///
    /// [partial success]: https://opentelemetry.io/docs/specs/otlp/#partial-success
    pub(super) fn taken(response: Response) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected).unwrap_or_default();
        Self::Taken { rejected, reason: format!("refused: {}", legible(&partial.error_message)) }
    }

    /// What a client of hyper-util's has failed with, on a connection of this connector's.
    pub(super) fn failed(error: &(dyn Error + 'static), connector: &Connector) -> Self {
        let answer = Self::failed_with(error);
        match (connector.alert(), &answer) {
            (Some(alert), Self::Broken { cut: true, .. }) => Self::failed_with(&alert),
            _ => answer,
        }
    }

    fn failed_with(error: &(dyn Error + 'static)) -> Self {
        let mut causes =
            std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
        let of_tls = causes.clone().find_map(|cause| {
            let inner = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
            let inner = inner.map(|inner| inner as &(dyn Error + 'static));
            cause.downcast_ref().or_else(|| inner?.downcast_ref::<rustls::Error>())
        });
        if let Some(error) = of_tls {
            return Self::Hopeless(legible(&format!("TLS: {error}")));
        }
        let client =
            causes.find_map(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>());
        let connecting = client.is_some_and(hyper_util::client::legacy::Error::is_connect);
        let told = told(client.map_or(error, |client| client as _));
        let what = if connecting { "could not connect" } else { "the connection broke" };
        Self::Broken { reason: legible(&format!("{what}: {told}")), cut: !connecting }
    }
}

/// The causes, one after another, but for the first, which only says that there was one.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes =
        std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    let mut told: Vec<String> = causes.map(ToString::to_string).collect();
    // Some repeat what is inside of them.
    told.dedup_by(|inner, outer| outer.contains(&*inner));
    if told.is_empty() { error.to_string() } else { told.join(": ") }
}
