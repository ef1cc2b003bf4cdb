//! A collector: takes OTLP over HTTP on a socket of its own and does as it is told.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{net::TcpListener, sync::oneshot};

/// How the collector answers a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(StatusCode),
    /// 200, but so many spans were refused.
    Partial(i64),
    /// 307, to this address.
    Redirect(SocketAddr),
    /// Never.
    Hang,
}

/// A collector with a thread and a runtime of its own, so that whoever waits for it may block.
pub(crate) struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    arrivals: Mutex<mpsc::Receiver<()>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// The next answers; 200 when they have run out.
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<Request>>,
    arrived: mpsc::Sender<()>,
}

/// One request that came in.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ExportTraceServiceRequest,
}

impl Collector {
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let (arrived, arrivals) = mpsc::channel();
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            requests: Mutex::default(),
            arrived,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let state = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let app = Router::new().fallback(post(receive)).with_state(state);
                tokio::select! {
                    served = axum::serve(listener, app) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: told.recv().unwrap(),
            shared,
            arrivals: Mutex::new(arrivals),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a request has come in.
    pub(crate) fn wait(&self) {
        self.arrivals.lock().unwrap().recv_timeout(Duration::from_secs(30)).unwrap();
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }

    /// All spans that came in, whatever they were answered.
    pub(crate) fn spans(&self) -> Vec<Received> {
        let requests = self.requests();
        requests.into_iter().flat_map(|request| Received::all(request.body)).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = ExportTraceServiceRequest::decode(body).unwrap();
    shared.requests.lock().unwrap().push(Request { path: uri.to_string(), headers, body });
    let answer = shared.answers.lock().unwrap().pop_front();
    shared.arrived.send(()).unwrap();
    match answer.unwrap_or(Answer::Status(StatusCode::OK)) {
        Answer::Status(StatusCode::OK) => protobuf(&ExportTraceServiceResponse::default()),
        Answer::Status(status_code) => status_code.into_response(),
        Answer::Partial(rejected_spans) => protobuf(&ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: "too many of them\u{1b}[2J".to_owned(),
            }),
        }),
        Answer::Redirect(to) => {
            let location = [(header::LOCATION, format!("http://{to}/v1/traces"))];
            (StatusCode::TEMPORARY_REDIRECT, location).into_response()
        }
        Answer::Hang => std::future::pending().await,
    }
}

fn protobuf(message: &ExportTraceServiceResponse) -> Response {
    ([(header::CONTENT_TYPE, "application/x-protobuf")], message.encode_to_vec()).into_response()
}

/// A span as the wire had it, with all that was around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Received {
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) resource_schema: String,
    /// Name, version and schema URL.
    pub(crate) scope: [String; 3],
    pub(crate) trace_id: Vec<u8>,
    pub(crate) span_id: Vec<u8>,
    pub(crate) parent_span_id: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) status: (i32, String),
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: usize,
    pub(crate) links: usize,
}

impl Received {
    fn all(request: ExportTraceServiceRequest) -> Vec<Self> {
        let mut all = Vec::new();
        for of_resource in request.resource_spans {
            let resource = texts(of_resource.resource.unwrap().attributes);
            for of_scope in of_resource.scope_spans {
                let scope = of_scope.scope.unwrap();
                let scope = [scope.name, scope.version, of_scope.schema_url];
                for span in of_scope.spans {
                    let schema = of_resource.schema_url.clone();
                    all.push(Self::new(span, resource.clone(), schema, scope.clone()));
                }
            }
        }
        all
    }

    fn new(
        span: Span,
        resource: BTreeMap<String, String>,
        resource_schema: String,
        scope: [String; 3],
    ) -> Self {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        let status = span.status.unwrap_or_default();
        Self {
            resource,
            resource_schema,
            scope,
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            flags: span.flags,
            name: span.name,
            kind: span.kind,
            status: (status.code, status.message),
            attributes: texts(span.attributes),
            events: span.events.len(),
            links: span.links.len(),
        }
    }
}

/// The attributes with their values as text, integers with a mark, so that `1` and `"1"` differ.
fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        let value = match value.unwrap().value.unwrap() {
            any_value::Value::StringValue(text) => text,
            any_value::Value::IntValue(number) => format!("{number}i"),
            other => format!("{other:?}"),
        };
        assert_eq!(texts.insert(key.clone(), value), None, "{key} is there twice");
    }
    texts
}
