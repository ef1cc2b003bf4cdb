//! W3C's validation of Trace Context: its protocol, driven by a harness of our own over real
//! sockets, against the service that the suite itself runs against.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path, State},
    routing::post,
};
use http::HeaderMap;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_telemetry::Telemetry;

use crate::support::headers::lines;

#[path = "../../examples/trace_context_service.rs"]
#[allow(dead_code, unreachable_pub)]
mod service;

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-01";

type Seen = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// What the service calls, and the service.
struct Harness {
    service: String,
    callee: String,
    seen: Seen,
}

impl Harness {
    async fn new() -> Self {
        let telemetry = Telemetry::builder().with_environment([("OTEL_TRACES_EXPORTER", "none")]);
        let service = serve(service::app(&telemetry.build().unwrap()).unwrap()).await;
        let seen = Seen::default();
        let callee = Router::new()
            .route(
                "/{call}",
                post(|Path(call), headers, State(seen): State<Seen>, body: String| async move {
                    assert_eq!(body, "[]");
                    seen.lock().unwrap().push((call, headers));
                }),
            )
            .with_state(Arc::clone(&seen));
        Self { service, callee: serve(callee).await, seen }
    }

    /// The headers of so many calls that the service makes when it gets these lines, byte for byte.
    async fn calls(&self, headers: &[(&str, &str)], count: usize) -> Vec<HeaderMap> {
        let arguments: Vec<_> = (0..count)
            .map(|call| json!({"url": format!("http://{}/{call}", self.callee), "arguments": []}))
            .collect();
        let body = serde_json::Value::from(arguments).to_string();
        let mut request = format!(
            "POST /test HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n",
            self.service,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(&body);
        let mut stream = TcpStream::connect(&self.service).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let calls: Vec<_> = seen.iter().map(|(call, _)| call.clone()).collect();
        assert_eq!(calls, (0..count).map(|call| call.to_string()).collect::<Vec<_>>());
        seen.into_iter().map(|(_, headers)| headers).collect()
    }

    /// Trace id, flags and list of the one call that it makes.
    async fn call(&self, headers: &[(&str, &str)]) -> Sent {
        Sent::of(&self.calls(headers, 1).await.remove(0))
    }
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

#[derive(Debug)]
struct Sent {
    trace: String,
    span: String,
    flags: String,
    state: Option<String>,
}

impl Sent {
    fn of(headers: &HeaderMap) -> Self {
        assert_eq!(headers.get_all("traceparent").iter().count(), 1, "{:?}", lines(headers));
        assert!(headers.get_all("tracestate").iter().count() <= 1);
        let parent = headers["traceparent"].to_str().unwrap();
        let [version, trace, span, flags] = parent.split('-').collect::<Vec<_>>()[..] else {
            panic!("{parent}")
        };
        let is_hex =
            |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert_eq!((version, trace.len(), span.len(), flags.len()), ("00", 32, 16, 2), "{parent}");
        assert!(is_hex(trace) && is_hex(span) && is_hex(flags), "{parent}");
        assert!(trace.contains(|digit| digit != '0') && span.contains(|digit| digit != '0'));
        let state = headers.get("tracestate").map(|state| state.to_str().unwrap().to_owned());
        assert_ne!(state.as_deref(), Some(""));
        Self { trace: trace.into(), span: span.into(), flags: flags.into(), state }
    }

    fn continues(&self) -> bool {
        assert_ne!(self.span, SPAN);
        self.trace == TRACE
    }
}

#[tokio::test]
async fn a_request_without_headers_begins_a_trace_whose_id_is_random() {
    let harness = Harness::new().await;
    let sent = harness.call(&[]).await;
    assert!(!sent.continues());
    assert_eq!((sent.flags.as_str(), sent.state), ("03", None));
    // A list alone is nobody's.
    assert_eq!(harness.call(&[("tracestate", "foo=1")]).await.state, None);
}

#[tokio::test]
async fn a_valid_traceparent_is_continued_and_any_other_restarts_the_trace() {
    let harness = Harness::new().await;
    for (name, value) in [
        ("traceparent", VALID.to_owned()),
        ("TraceParent", VALID.to_owned()),
        ("TRACEPARENT", VALID.to_owned()),
        ("traceparent", format!("\t {VALID} \t")),
        ("traceparent", VALID.replacen("00", "cc", 1)),
        ("traceparent", format!("cc{}-what-the-future-will-be-like", &VALID[2..])),
    ] {
        let sent = harness.call(&[(name, &value)]).await;
        assert!(sent.continues(), "{name}: {value:?}");
        assert_eq!(sent.flags, "01", "{name}: {value:?}");
    }
    for (name, value) in [
        ("trace-parent", VALID.to_owned()),
        ("trace.parent", VALID.to_owned()),
        ("traceparent", format!("{VALID}.")),
        ("traceparent", format!("{VALID}-what-the-future-will-be-like")),
        ("traceparent", format!("cc{}.what-the-future-will-be-like", &VALID[2..])),
        ("traceparent", VALID.replacen("00", "ff", 1)),
        ("traceparent", VALID.replacen("00", ".0", 1)),
        ("traceparent", VALID.replacen("00", "000", 1)),
        ("traceparent", VALID.replacen("00", "0", 1)),
        ("traceparent", VALID.replace(TRACE, &"0".repeat(32))),
        ("traceparent", VALID.replace(TRACE, &format!(".{}", &TRACE[1..]))),
        ("traceparent", VALID.replace(TRACE, &format!("{TRACE}3"))),
        ("traceparent", VALID.replace(TRACE, &TRACE[1..])),
        ("traceparent", VALID.replace(&format!("-{SPAN}-"), "-0000000000000000-")),
        ("traceparent", VALID.replace(&format!("-{SPAN}-"), "-.234567890123456-")),
        ("traceparent", VALID.replace(&format!("-{SPAN}-"), "-12345678901234567-")),
        ("traceparent", VALID.replace(&format!("-{SPAN}-"), "-123456789012345-")),
        ("traceparent", VALID.replace("-01", "-.0")),
        ("traceparent", VALID.replace("-01", "-0.")),
        ("traceparent", VALID.replace("-01", "-001")),
        ("traceparent", VALID.replace("-01", "-1")),
    ] {
        let sent = harness.call(&[(name, &value), ("tracestate", "foo=1")]).await;
        assert!(!sent.continues(), "{name}: {value:?}");
        assert_eq!(sent.state, None, "{name}: {value:?}");
    }
    let other = VALID.replace(TRACE, &"1".repeat(32));
    let twice = harness.call(&[("traceparent", VALID), ("traceparent", &other)]).await;
    assert!(!twice.continues() && twice.trace != "1".repeat(32));
}

#[tokio::test]
async fn flags_go_on_as_far_as_they_are_known_whatever_is_sampled() {
    let harness = Harness::new().await;
    for (received, sent) in [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03")] {
        let value = VALID.replace("-01", &format!("-{received}"));
        assert_eq!(harness.call(&[("traceparent", &value)]).await.flags, sent, "{received}");
    }
}

#[tokio::test]
async fn a_list_goes_on_whether_the_trace_is_sampled_or_not() {
    let harness = Harness::new().await;
    let many =
        |count| (1..=count).map(|at| format!("bar{at:02}={at:02}")).collect::<Vec<_>>().join(",");
    let key = |length| format!("foo=1,{}=1", "z".repeat(length));
    let full = many(32);
    let printable: String = (' '..='~').filter(|char| !",=".contains(*char)).collect();
    for flags in ["00", "01"] {
        let parent = VALID.replace("-01", &format!("-{flags}"));
        for (received, sent) in [
            (&["foo=1,bar=2"][..], Some("foo=1,bar=2")),
            (&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], Some("foo=1,bar=2,rojo=1,congo=2,baz=3")),
            (&["foo=1", ""], Some("foo=1")),
            (&["", "foo=1"], Some("foo=1")),
            (&[""], None),
            (&["foo=1 \t , \t bar=2, \t baz=3"], Some("foo=1,bar=2,baz=3")),
            (&["\t foo=1 \t"], Some("foo=1")),
            (&["foo=1,foo=2"], Some("foo=1")),
            (&["foo=1", "foo=2"], Some("foo=1")),
            (&["foo@=1,bar=2"], Some("foo@=1,bar=2")),
            (&["foo@@bar=1,bar=2"], Some("foo@@bar=1,bar=2")),
            (&["foo@bar@baz=1,bar=2"], Some("foo@bar@baz=1,bar=2")),
            (&["@foo=1,bar=2"], None),
            (&["foo =1"], None),
            (&["FOO=1"], None),
            (&["foo.bar=1"], None),
            (&["foo=bar=baz"], None),
            (&["foo=,bar=3"], None),
            (&[&full], Some(&full)),
            (&[&full, "bar33=33"], None),
            (&[&key(256)], Some(&key(256))),
            (&[&key(257)], None),
            (
                &[&format!("abc123_-*/@a-z0-9_-*/={printable}")],
                Some(&format!("abc123_-*/@a-z0-9_-*/={printable}")),
            ),
        ] {
            let mut headers = vec![("traceparent", parent.as_str())];
            headers.extend(received.iter().map(|line| ("TraceState", *line)));
            let call = harness.call(&headers).await;
            assert!(call.continues());
            assert_eq!(call.state.as_deref(), sent, "{received:?}");
        }
        // By any other name it is none.
        for name in ["trace-state", "trace.state"] {
            let call = harness.call(&[("traceparent", &parent), (name, "foo=1")]).await;
            assert_eq!(call.state, None);
        }
    }
}

#[tokio::test]
async fn each_call_is_a_span_of_its_own() {
    let harness = Harness::new().await;
    for (headers, trace) in [
        (&[("traceparent", VALID)][..], Some(TRACE)),
        (&[], None),
        (&[("traceparent", "00-00000000000000000000000000000000-1234567890123456-01")], None),
    ] {
        let calls = harness.calls(headers, 3).await;
        let sent: Vec<_> = calls.iter().map(Sent::of).collect();
        let traces: HashSet<_> = sent.iter().map(|sent| sent.trace.clone()).collect();
        let spans: HashSet<_> = sent.iter().map(|sent| sent.span.clone()).collect();
        assert_eq!((traces.len(), spans.len()), (1, 3));
        assert!(trace.is_none_or(|trace| traces.contains(trace)));
    }
}
