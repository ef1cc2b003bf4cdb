//! A collector: takes OTLP over HTTP and gRPC on a socket of its own and does as it is told.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Read,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::stream;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Notify, Semaphore, oneshot},
};
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Status, codec::CompressionEncoding};
use tracing::dispatcher::{self, Dispatch};

/// How the collector answers a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(StatusCode),
    /// The status, with this `Retry-After`.
    RetryAfter(StatusCode, &'static str),
    /// The status, and this message in a `google.rpc.Status`.
    Says(StatusCode, &'static str),
    /// 200, but so many spans were refused.
    Partial(i64),
    /// 307, to this address.
    Redirect(SocketAddr),
    /// Never.
    Hang,
    /// 200, once it is [released](Collector::release).
    Held,
    /// Closes the connection without a word.
    Close,
    /// 200, of which half comes before the connection is closed.
    Half,
    /// The status, and a body that does not come to its end.
    Endless(StatusCode),
    /// 200, with this instead of a response of OTLP.
    Body(&'static [u8]),
    /// 200, and so many bytes.
    Long(usize),
    /// A status of gRPC, with its message, and a `RetryInfo` if there is a delay.
    Grpc(Code, &'static str, Option<Duration>),
}

/// A collector with a thread and a runtime of its own, so that whoever waits for it may block.
pub(crate) struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    arrivals: Mutex<mpsc::Receiver<()>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// The next answers,
    answers: Mutex<VecDeque<Answer>>,
    /// and the answer when they have run out.
    otherwise: Mutex<Answer>,
    requests: Mutex<Vec<Request>>,
    connections: Mutex<u64>,
    arrived: mpsc::Sender<()>,
    released: Semaphore,
}

/// One request that came in.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ExportTraceServiceRequest,
    /// What there is in place of the body, if it was sent to where log records are.
    pub(crate) logs: Option<ExportLogsServiceRequest>,
    /// The same for metrics.
    pub(crate) metrics: Option<ExportMetricsServiceRequest>,
}

impl Collector {
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::listen(answers, None)
    }

    /// The same over TLS.
    pub(crate) fn start_tls(
        answers: impl IntoIterator<Item = Answer>,
        acceptor: TlsAcceptor,
    ) -> Self {
        Self::listen(answers, Some(acceptor))
    }

    fn listen(answers: impl IntoIterator<Item = Answer>, tls: Option<TlsAcceptor>) -> Self {
        let (arrived, arrivals) = mpsc::channel();
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            otherwise: Mutex::new(Answer::Status(StatusCode::OK)),
            requests: Mutex::default(),
            connections: Mutex::default(),
            arrived,
            released: Semaphore::new(0),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let state = Arc::clone(&shared);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // What it logs is none of the program's that it is the collector of.
            let _silent = dispatcher::set_default(&Dispatch::none());
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, state, tls) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: told.recv().unwrap(),
            scheme,
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
        format!("{}://{}", self.scheme, self.address)
    }

    /// Waits until a request has come in.
    pub(crate) fn wait(&self) {
        self.arrivals.lock().unwrap().recv_timeout(Duration::from_secs(30)).unwrap();
    }

    /// How to answer from now on, when there is nothing else to answer. At first it is 200.
    pub(crate) fn otherwise(&self, answer: Answer) {
        *self.shared.otherwise.lock().unwrap() = answer;
    }

    /// Answers one of the requests that are held.
    pub(crate) fn release(&self) {
        self.shared.released.add_permits(1);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }

    /// How many connections there were, also those on which TLS was not agreed on.
    pub(crate) fn connections(&self) -> u64 {
        *self.shared.connections.lock().unwrap()
    }

    /// All spans that came in, whatever they were answered.
    pub(crate) fn spans(&self) -> Vec<Received> {
        let requests = self.requests();
        requests.into_iter().flat_map(|request| Received::all(request.body)).collect()
    }

    /// All requests with metrics. Like the others it takes all that have come in, of whatever signal.
    pub(crate) fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.requests().into_iter().filter_map(|request| request.metrics).collect()
    }

    /// All requests with log records.
    pub(crate) fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.requests().into_iter().filter_map(|request| request.logs).collect()
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

/// Closes the connection that a request came in on.
#[derive(Clone)]
struct Closes(Arc<Notify>);

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let grpc = TraceServiceServer::new(Grpc(Arc::clone(&shared)))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(usize::MAX);
    let logs = LogsServiceServer::new(Grpc(Arc::clone(&shared)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(usize::MAX);
    let metrics = MetricsServiceServer::new(Grpc(Arc::clone(&shared)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(usize::MAX);
    let app = Router::new()
        .route_service("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", metrics)
        .route_service("/opentelemetry.proto.collector.logs.v1.LogsService/Export", logs)
        .route_service("/opentelemetry.proto.collector.trace.v1.TraceService/Export", grpc)
        .fallback(post(receive))
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(&shared));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *shared.connections.lock().unwrap() += 1;
        let closes = Closes(Arc::new(Notify::new()));
        let app = app.clone().layer(Extension(closes.clone()));
        let tls = tls.clone();
        tokio::spawn(async move {
            let serving = async move {
                match tls {
                    None => serve(stream, app).await,
                    Some(tls) => {
                        // Who does not agree has gone away.
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, app).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = serving => {}
                () = closes.0.notified() => {}
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, app: Router) {
    let service = TowerToHyperService::new(app);
    let _ =
        Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    /// A request has come in. How it is answered.
    fn arrived(&self, request: Request) -> Answer {
        self.requests.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        // Nobody may be waiting any more.
        let _ = self.arrived.send(());
        answer.unwrap_or(*self.otherwise.lock().unwrap())
    }

    async fn released(&self) {
        self.released.acquire().await.unwrap().forget();
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    Extension(closes): Extension<Closes>,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|of| of == "application/json");
    let body = match headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None => body.to_vec(),
        Some(b"gzip") => {
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut bytes).unwrap();
            bytes
        }
        Some(b"zstd") => zstd::decode_all(&*body).unwrap(),
        Some(other) => panic!("{other:?} is no encoding of OTLP"),
    };
    let path = uri.to_string();
    let (of_logs, of_metrics) = (path == "/v1/logs", path == "/v1/metrics");
    let mut request =
        Request { path, headers, body: Default::default(), logs: None, metrics: None };
    match (of_logs, json) {
        _ if of_metrics && json => request.metrics = Some(serde_json::from_slice(&body).unwrap()),
        _ if of_metrics => request.metrics = Some(Message::decode(&*body).unwrap()),
        (true, true) => request.logs = Some(serde_json::from_slice(&body).unwrap()),
        (true, false) => request.logs = Some(Message::decode(&*body).unwrap()),
        (false, true) => request.body = serde_json::from_slice(&body).unwrap(),
        (false, false) => request.body = Message::decode(&*body).unwrap(),
    }
    let otlp = |response: &ExportTraceServiceResponse| {
        let (content_type, body) = if json && of_logs {
            ("application/json", serde_json::to_vec(&for_logs(response)).unwrap())
        } else if json && of_metrics {
            ("application/json", serde_json::to_vec(&for_metrics(response)).unwrap())
        } else if json {
            ("application/json", serde_json::to_vec(response).unwrap())
        } else {
            ("application/x-protobuf", response.encode_to_vec())
        };
        ([(header::CONTENT_TYPE, content_type)], body).into_response()
    };
    let answer = shared.arrived(request);
    match answer {
        Answer::Status(StatusCode::OK) => otlp(&ExportTraceServiceResponse::default()),
        Answer::Status(status_code) => status_code.into_response(),
        Answer::RetryAfter(status_code, after) => {
            (status_code, [(header::RETRY_AFTER, after)]).into_response()
        }
        Answer::Says(status_code, message) if json => {
            let body = serde_json::json!({ "code": 3, "message": message }).to_string();
            (status_code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Answer::Says(status_code, message) => {
            let body = GoogleStatus { code: 3, message: message.to_owned(), details: Vec::new() };
            let content_type = [(header::CONTENT_TYPE, "application/x-protobuf")];
            (status_code, content_type, body.encode_to_vec()).into_response()
        }
        Answer::Partial(rejected_spans) => otlp(&partial(rejected_spans)),
        Answer::Redirect(to) => {
            let location = [(header::LOCATION, format!("http://{to}/v1/traces"))];
            (StatusCode::TEMPORARY_REDIRECT, location).into_response()
        }
        Answer::Hang => std::future::pending().await,
        Answer::Held => {
            shared.released().await;
            otlp(&ExportTraceServiceResponse::default())
        }
        Answer::Close => {
            closes.0.notify_one();
            std::future::pending().await
        }
        Answer::Half => {
            let half: [Result<&[u8], _>; 2] = [Ok(&[10]), Err(std::io::Error::other("cut"))];
            ([(header::CONTENT_LENGTH, "2")], Body::from_stream(stream::iter(half))).into_response()
        }
        Answer::Endless(status_code) => {
            let endless = stream::once(async { Ok::<_, std::io::Error>("x") });
            let endless = stream::StreamExt::chain(endless, stream::pending());
            (status_code, Body::from_stream(endless)).into_response()
        }
        Answer::Body(body) => {
            ([(header::CONTENT_TYPE, "application/x-protobuf")], body).into_response()
        }
        Answer::Long(length) => vec![0; length].into_response(),
        Answer::Grpc(..) => unreachable!("gRPC's answers are to gRPC"),
    }
}

fn partial(rejected_spans: i64) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "too many of them\u{1b}[2J".to_owned(),
        }),
    }
}

/// A response of so many bytes.
fn long(length: usize) -> ExportTraceServiceResponse {
    // Two fields, each with a byte for what it is and four for its length.
    let error_message = "x".repeat(length - 10);
    let partial = ExportTracePartialSuccess { rejected_spans: 0, error_message };
    ExportTraceServiceResponse { partial_success: Some(partial) }
}

/// The same over gRPC.
struct Grpc(Arc<Shared>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (metadata, extensions, body) = request.into_parts();
        let headers = metadata.into_headers();
        self.answered(
            &extensions,
            Request { path: "gRPC".to_owned(), headers, body, logs: None, metrics: None },
        )
        .await
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let (metadata, extensions, logs) = request.into_parts();
        let (headers, body) = (metadata.into_headers(), Default::default());
        let request =
            Request { path: "gRPC".to_owned(), headers, body, logs: Some(logs), metrics: None };
        let answered = self.answered(&extensions, request).await?;
        Ok(for_logs(answered.get_ref()).into())
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let (metadata, extensions, metrics) = request.into_parts();
        let (headers, body) = (metadata.into_headers(), Default::default());
        let metrics = Some(metrics);
        let request = Request { path: "gRPC".to_owned(), headers, body, logs: None, metrics };
        let answered = self.answered(&extensions, request).await?;
        Ok(for_metrics(answered.get_ref()).into())
    }
}

fn for_metrics(response: &ExportTraceServiceResponse) -> ExportMetricsServiceResponse {
    ExportMetricsServiceResponse::decode(&*response.encode_to_vec()).unwrap()
}

/// On the wire they are the same.
fn for_logs(response: &ExportTraceServiceResponse) -> ExportLogsServiceResponse {
    ExportLogsServiceResponse::decode(&*response.encode_to_vec()).unwrap()
}

impl Grpc {
    async fn answered(
        &self,
        extensions: &tonic::Extensions,
        request: Request,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        match self.0.arrived(request) {
            Answer::Status(StatusCode::OK) => Ok(ExportTraceServiceResponse::default().into()),
            Answer::Partial(rejected_spans) => Ok(partial(rejected_spans).into()),
            Answer::Hang => std::future::pending().await,
            Answer::Held => {
                self.0.released().await;
                Ok(ExportTraceServiceResponse::default().into())
            }
            Answer::Close => {
                extensions.get::<Closes>().unwrap().0.notify_one();
                std::future::pending().await
            }
            Answer::Long(length) => Ok(long(length).into()),
            Answer::Grpc(code, message, None) => Err(Status::new(code, message)),
            Answer::Grpc(code, message, Some(delay)) => {
                let details = with_retry_info(code, message, delay);
                Err(Status::with_details(code, message, details.into()))
            }
            other => unreachable!("{other:?} is an answer of HTTP"),
        }
    }
}

/// `google.rpc.Status`, by the numbers of its fields.
#[derive(Clone, PartialEq, Message)]
struct GoogleStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

fn with_retry_info(code: Code, message: &str, delay: Duration) -> Vec<u8> {
    let info = RetryInfo { retry_delay: Some(delay.try_into().unwrap()) };
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let details = vec![detail];
    GoogleStatus { code: code as i32, message: message.to_owned(), details }.encode_to_vec()
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
    pub(crate) fn all(request: ExportTraceServiceRequest) -> Vec<Self> {
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
