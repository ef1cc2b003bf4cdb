//! Where context may go.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::{
    client::{OutgoingRequest, origin::Origin, seen::Seen},
    contained::contained,
    error::BuildError,
    head::RequestHead,
};

/// The requests that may carry something of ours: the [trace context], or [baggage]. Default: all
/// may carry the first, and none the second.
///
/// A trace context names a trace and says whether it is sampled, and what vendors add to it. To
/// services of others it says when one's own are called together; that is [why][privacy] it can be
/// kept at home. Baggage is whatever the program has put into it.
///
/// ```
/// use http::{Request, Response};
/// use opentelemetry::{Context, trace::{SpanContext, TraceContextExt, TraceFlags, TraceState}};
/// use tower::{Layer, Service, service_fn};
/// use tower_telemetry::{
///     PropagationLayer, client::PropagationTargets, propagation::TraceContext,
/// };
///
/// # tokio_test::block_on(async {
/// let layer = PropagationLayer::new()
///     .with_propagator(TraceContext::new())
///     .with_propagation_targets(PropagationTargets::hosts(["*.shop.internal", "10.0.0.7"])?);
/// let mut client = layer.layer(service_fn(|request: Request<()>| async move {
///     Ok::<_, std::io::Error>(Response::new(request.headers().contains_key("traceparent")))
/// }));
/// # let span = SpanContext::new(
/// #     42_u128.into(), 11_u64.into(), TraceFlags::SAMPLED, false, TraceState::NONE,
/// # );
/// # let _current = Context::new().with_remote_span_context(span).attach();
///
/// // In a handler under a `TraceLayer`:
/// let ours = Request::get("http://stock.shop.internal/items/42").body(())?;
/// assert!(client.call(ours).await?.into_body());
/// let theirs = Request::get("https://payments.example/charge").body(())?;
/// assert!(!client.call(theirs).await?.into_body());
/// # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// [trace context]: https://www.w3.org/TR/trace-context-2/
/// [baggage]: https://www.w3.org/TR/baggage/
/// [privacy]: https://www.w3.org/TR/trace-context-2/#privacy-considerations
#[must_use]
#[derive(Clone)]
pub struct PropagationTargets(Which);

#[derive(Clone)]
enum Which {
    Everywhere,
    Nowhere,
    Hosts(Arc<[Pattern]>),
    By(Arc<Predicate>),
}

type Predicate = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;

impl PropagationTargets {
    /// All requests.
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, client::PropagationTargets};
    ///
    /// // Baggage, too, for a client that only calls services of one's own.
    /// let layer = ClientTraceLayer::new().with_baggage_to(PropagationTargets::everywhere());
    /// # let _ = layer;
    /// ```
    pub const fn everywhere() -> Self {
        Self(Which::Everywhere)
    }

    /// No request.
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, client::PropagationTargets};
    ///
    /// // Client spans, of which the other side knows nothing.
    /// let layer =
    ///     ClientTraceLayer::new().with_propagation_targets(PropagationTargets::nowhere());
    /// # let _ = layer;
    /// ```
    pub const fn nowhere() -> Self {
        Self(Which::Nowhere)
    }

    /// Requests to these hosts, on whichever port: names, addresses, or `*.` and a domain, which
    /// stands for everything below it but not for itself. Case does not matter, nor does a dot at
    /// the end. Without any it is none.
    ///
    /// It is the URL's host that counts, or the [origin](crate::ClientTraceLayer::with_origin) of a
    /// layer whose URLs have none; no header does. Where a client follows redirects itself, as
    /// reqwest does, the headers go along to hosts that nobody was asked about.
    ///
    /// ```
    /// use tower_telemetry::client::PropagationTargets;
    ///
    /// let targets = PropagationTargets::hosts(["inventory", "*.shop.internal", "::1"])?;
    /// # let _ = targets;
    ///
    /// let error = PropagationTargets::hosts(["http://inventory"]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid host `http://inventory`: must be a name, an address or `*.` and a domain",
    /// );
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If one of them is neither, or has a port.
    pub fn hosts(hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, BuildError> {
        let patterns: Result<Vec<_>, _> =
            hosts.into_iter().map(|host| Pattern::parse(host.as_ref())).collect();
        Ok(Self(Which::Hosts(patterns?.into())))
    }

    /// Requests for which `predicate` is true. One that panics has said no.
    ///
    /// ```
    /// use tower_telemetry::client::PropagationTargets;
    ///
    /// let targets = PropagationTargets::by(|request| {
    ///     request.uri().scheme_str() == Some("https") && request.path().starts_with("/internal/")
    /// });
    /// # let _ = targets;
    /// ```
    pub fn by<F>(predicate: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        Self(Which::By(Arc::new(predicate)))
    }

    pub(super) fn include<R: OutgoingRequest>(
        &self,
        request: &Seen<'_, R>,
        origin: Option<&Origin>,
    ) -> bool {
        match &self.0 {
            Which::Everywhere => true,
            Which::Nowhere => false,
            Which::Hosts(patterns) => request
                .destination(origin)
                .is_some_and(|(host, _)| patterns.iter().any(|pattern| pattern.matches(host))),
            Which::By(predicate) => contained(|| predicate(&request.head())).unwrap_or(false),
        }
    }
}

impl fmt::Debug for PropagationTargets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Which::Everywhere => f.write_str("everywhere"),
            Which::Nowhere => f.write_str("nowhere"),
            Which::Hosts(patterns) => f.debug_list().entries(&**patterns).finish(),
            Which::By(_) => f.write_str("by predicate"),
        }
    }
}

/// Which hosts are meant.
#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    /// A name in lower case, without a dot at its end.
    Name(String),
    /// What a name below a domain ends with, from its dot on.
    Below(String),
    Address(IpAddr),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, BuildError> {
        let bare = text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        let (below, domain) = match text.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, text),
        };
        let name = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !name.split('.').all(label) {
            let reason = "must be a name, an address or `*.` and a domain";
            return Err(BuildError::of_url("host", text, reason));
        }
        Ok(if below { Self::Below(format!(".{name}")) } else { Self::Name(name) })
    }

    fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Name(name) => host.eq_ignore_ascii_case(name),
            Self::Below(domain) => host
                .len()
                .checked_sub(domain.len())
                .filter(|start| *start > 0)
                .and_then(|start| host.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(domain)),
            Self::Address(address) => host.parse() == Ok(*address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_meant_by_its_name_its_address_or_a_domain_above_it() {
        for (pattern, host, meant) in [
            ("inventory", "inventory", true),
            ("Inventory.", "INVENTORY", true),
            ("inventory", "inventory.", true),
            ("inventory", "inventory.evil.example", false),
            ("inventory", "xinventory", false),
            ("*.shop.example", "a.shop.example", true),
            ("*.shop.example", "a.b.Shop.example", true),
            ("*.shop.example", "shop.example", false),
            ("*.shop.example", "evilshop.example", false),
            ("*.shop.example", ".shop.example", false),
            ("*.shop.example", "a.shop.example.evil", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.70", false),
            ("[::1]", "::1", true),
            ("::1", "0:0:0:0:0:0:0:1", true),
            ("::1", "::2", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(host), meant, "{pattern} {host}");
        }
    }

    #[test]
    fn what_is_no_host_is_an_error() {
        for bad in ["", "*", "*.", ".", "a..b", "host:80", "http://host", "*.*.example", "a b", "ä"]
        {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
