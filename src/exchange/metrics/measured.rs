//! One exchange that is measured: from the `+1` to what is recorded at its end.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
};

use http::Version;
use opentelemetry::{KeyValue, StringValue};

use crate::{
    contained::contained,
    exchange::{
        attributes::{Attributes, Server},
        end::Ending,
        grpc::call::{Call, SYSTEM},
        hooks::Ended,
        http::HttpRequest,
        kind::Kind,
        metrics::{instruments::Instruments, list::List, settings::Metrics},
        outcome::Side,
    },
    head::{RequestHead, ResponseHead},
    intern,
    semconv::{
        keys::{self, Convention},
        legacy::LegacyNames,
        method::Folded,
        url,
    },
};

/// What metrics say of a request, with what it is measured by.
pub(crate) struct Measured {
    instruments: Arc<Instruments>,
    facts: Facts,
    /// How long the request's body is said to be.
    request_length: Option<u64>,
    /// An index into [`VERSIONS`].
    version: AtomicU8,
    is_stream: AtomicBool,
    /// Whether there is a `+1` to be taken away again.
    counted: AtomicBool,
    /// What the user's hooks have said of the request.
    custom: Vec<KeyValue>,
}

/// What a side knows of its request.
pub(crate) struct Facts {
    pub(crate) scheme: Option<StringValue>,
    pub(crate) server: Option<Server>,
    pub(crate) synthetic_type: Option<&'static str>,
    /// A client knows it once there is a response.
    pub(crate) version: Option<Version>,
}

/// What is known at the end beside what the span says of it.
pub(crate) struct Sizes {
    pub(crate) request: Option<u64>,
    pub(crate) response: Option<u64>,
}

const VERSIONS: [Option<&str>; 6] =
    [None, Some("0.9"), Some("1.0"), Some("1.1"), Some("2"), Some("3")];

impl Measured {
    pub(crate) fn new<'a>(
        instruments: Arc<Instruments>,
        head: impl FnOnce() -> RequestHead<'a>,
        length: impl FnOnce() -> Option<u64>,
        convention: Convention,
        facts: impl FnOnce(&Metrics) -> Facts,
    ) -> Self {
        let metrics = &instruments.metrics;
        let facts = facts(metrics);
        let mut custom = Vec::new();
        if !metrics.hooks.request.is_empty() {
            let head = head();
            for hook in &metrics.hooks.request {
                contained(|| hook(&head, &mut Attributes::late(&mut custom, &[], convention)));
            }
        }
        Self {
            request_length: instruments
                .request_size
                .as_ref()
                .and_then(|_| length().and_then(believed)),
            version: AtomicU8::new(facts.version.map_or(0, index)),
            is_stream: AtomicBool::new(false),
            counted: AtomicBool::new(false),
            facts,
            custom,
            instruments,
        }
    }

    /// The `+1`. Its `-1` is in [`end`](Self::end).
    pub(crate) fn begin(&self, request: &Kind) {
        self.counted.store(self.count(request, 1), Relaxed);
    }

    /// The response's head is there.
    pub(crate) fn head(&self, request: &Kind, head: &ResponseHead<'_>) {
        if self.side() == Side::Client {
            self.version.store(index(head.version()), Relaxed);
        }
        if let Some(streams) = &self.instruments.metrics.streams {
            let method = match request {
                Kind::Http(request) => Some(&request.method),
                Kind::Grpc(_) => None,
            };
            let is_stream = streams.has(method.and_then(Folded::standard), head);
            self.is_stream.store(is_stream, Relaxed);
        }
    }

    /// Records what there is to record, with what the span says of the end.
    pub(crate) fn end(
        &self,
        request: &Kind,
        ended: &Ended<'_>,
        ending: &Ending<'_>,
        legacy_grpc_names: Option<LegacyNames>,
        sizes: &Sizes,
    ) {
        if self.counted.load(Relaxed) {
            self.count(request, -1);
        }
        match request {
            Kind::Http(request) => self.end_request(request, ended, ending, sizes),
            Kind::Grpc(call) => self.end_call(call, ended, ending, legacy_grpc_names),
        }
    }

    fn end_request(
        &self,
        request: &HttpRequest,
        ended: &Ended<'_>,
        ending: &Ending<'_>,
        sizes: &Sizes,
    ) {
        let custom = self.custom(ended, Convention::Http);
        let (instruments, side) = (&self.instruments, self.side());
        let mut list = self.request(request);
        let status_code = ended.status_code.map(|code| i64::from(code.as_u16()));
        list.extend(keys::HTTP_RESPONSE_STATUS_CODE, status_code);
        let pattern = ending.route.map(|route| route.pattern.clone());
        if side == Side::Server {
            list.extend(keys::HTTP_ROUTE, pattern.clone());
        }
        list.extend(keys::ERROR_TYPE, error_type(ending));
        list.extend(
            keys::NETWORK_PROTOCOL_VERSION,
            VERSIONS[usize::from(self.version.load(Relaxed))],
        );
        list.extend(keys::USER_AGENT_SYNTHETIC_TYPE, self.facts.synthetic_type);

        let template = pattern.filter(|_| side == Side::Client);
        let with_template = instruments.metrics.url_template;
        if with_template {
            list.extend(keys::URL_TEMPLATE, template.clone());
        }
        self.last(&list, &custom, ended, |seconds, attributes| {
            instruments.duration.record(seconds, attributes);
        });
        if !with_template {
            list.extend(keys::URL_TEMPLATE, template);
        }
        let request_size = sizes.request.or(self.request_length);
        if let (Some(histogram), Some(size)) = (&instruments.request_size, request_size) {
            measure(&list, &custom, |attributes| histogram.record(size, attributes));
        }
        if let (Some(histogram), Some(size)) = (&instruments.response_size, sizes.response) {
            measure(&list, &custom, |attributes| histogram.record(size, attributes));
        }
    }

    fn end_call(
        &self,
        call: &Call,
        ended: &Ended<'_>,
        ending: &Ending<'_>,
        legacy_names: Option<LegacyNames>,
    ) {
        let custom = self.custom(ended, Convention::Rpc);
        let instruments = &self.instruments;
        let mut list = List::new();
        list.push(keys::RPC_SYSTEM_NAME, SYSTEM);
        let succeeded = ended.grpc_status == Some("OK");
        let exists = |method: &StringValue| {
            // What a client of ours calls is for us to choose.
            self.side() == Side::Client || instruments.methods.has(method, succeeded)
        };
        list.push(keys::RPC_METHOD, call.method_if(exists));
        let status = |written: bool| ended.grpc_status.filter(|_| written);
        list.extend(keys::RPC_STATUS_CODE, status(legacy_names != Some(LegacyNames::Instead)));
        list.extend(keys::RPC_RESPONSE_STATUS_CODE, status(legacy_names.is_some()));
        list.extend(keys::ERROR_TYPE, error_type(ending));
        self.push_server(&mut list);
        self.last(&list, &custom, ended, |seconds, attributes| {
            instruments.call_duration.record(seconds, attributes);
        });
    }

    /// Records how long it took, or that it was a stream.
    fn last(
        &self,
        list: &List,
        custom: &[KeyValue],
        ended: &Ended<'_>,
        record: impl FnOnce(f64, &[KeyValue]),
    ) {
        measure(list, custom, |attributes| match &self.instruments.streams {
            Some(streams) if self.is_stream.load(Relaxed) => streams.add(1, attributes),
            _ => record(ended.duration.as_secs_f64(), attributes),
        });
    }

    /// Adds to the requests that are under way. Whether that was done.
    fn count(&self, request: &Kind, change: i64) -> bool {
        let (Kind::Http(request), Some(counter)) = (request, &self.instruments.active_requests)
        else {
            return false;
        };
        let mut list = self.request(request);
        if self.side() == Side::Client {
            list.extend(keys::URL_TEMPLATE, request.pattern());
        }
        measure(&list, &[], |attributes| counter.add(change, attributes))
    }

    /// What is known of the request from the start on.
    fn request(&self, request: &HttpRequest) -> List {
        let mut list = List::new();
        list.push(keys::HTTP_REQUEST_METHOD, request.method.recorded());
        list.extend(keys::URL_SCHEME, self.facts.scheme.clone());
        self.push_server(&mut list);
        list
    }

    fn push_server(&self, list: &mut List) {
        if let Some((address, port)) = &self.facts.server {
            list.push(keys::SERVER_ADDRESS, address.clone());
            list.extend(keys::SERVER_PORT, port.map(i64::from));
        }
    }

    /// The user's attributes, those of the end, too.
    fn custom(&self, ended: &Ended<'_>, convention: Convention) -> Cow<'_, [KeyValue]> {
        let hooks = &self.instruments.metrics.hooks.end;
        if hooks.is_empty() {
            return Cow::Borrowed(&self.custom);
        }
        let mut custom = self.custom.clone();
        for hook in hooks {
            contained(|| hook(ended, &mut Attributes::late(&mut custom, &[], convention)));
        }
        Cow::Owned(custom)
    }

    fn side(&self) -> Side {
        self.instruments.side
    }
}

/// Measures with a layer's attributes and the user's. An instrument of the user's may panic, which
/// is not the request's fault. Whether it did not.
fn measure(list: &List, custom: &[KeyValue], record: impl FnOnce(&[KeyValue])) -> bool {
    let measured = contained(|| {
        if custom.is_empty() {
            record(list.as_slice());
        } else {
            record(&[list.as_slice(), custom].concat());
        }
    });
    measured.is_some()
}

/// A length that a header claims, if that can be. A stranger claims it for nothing, and of two that
/// come near the largest number there is, the SDK can make no sum any more.
pub(crate) fn believed(length: u64) -> Option<u64> {
    const TEBIBYTE: u64 = 1 << 40;
    Some(length).filter(|length| *length <= TEBIBYTE)
}

fn error_type(ending: &Ending<'_>) -> Option<StringValue> {
    ending.error_type.as_ref().map(|error_type| match error_type {
        Cow::Borrowed(text) => StringValue::from(*text),
        Cow::Owned(text) => intern::shared(text),
    })
}

fn index(version: Version) -> u8 {
    let text = url::protocol_version(version);
    let index = VERSIONS.iter().position(|known| *known == text);
    index.and_then(|index| u8::try_from(index).ok()).unwrap_or_default()
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").field("custom", &self.custom).finish_non_exhaustive()
    }
}
