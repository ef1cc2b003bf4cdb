//! Each kind of call over a real wire, through tonic on both sides, with each way to end.

use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use tonic::Code;

use crate::support::{
    grpc::{Begun, Client, Do, Kind, Server, begin, call},
    recorder::Described,
    way::{Spans, assert_below, assert_root},
};

/// A server and a client, whose spans go to the same place.
struct Ends {
    spans: Spans,
    server: Server,
    client: Client,
}

impl Ends {
    async fn new() -> Self {
        let spans = Spans::new();
        let server = Server::start(spans.recorder.layer()).await;
        let client = server.client(spans.recorder.client_layer());
        Self { spans, server, client }
    }

    /// Makes a call that ends well, so that the next one finds a connection.
    async fn connect(&mut self) {
        assert_eq!(call(&mut self.client, Kind::Unary, Do::End(Code::Ok)).await.1, Code::Ok);
        self.of_the_call().await;
    }

    /// The spans of the one call that was made: the client's, and the server's below it.
    async fn of_the_call(&mut self) -> [Described; 2] {
        let [client, server] = self.spans.next().await;
        assert_root(&client);
        assert_below(&server, &client);
        assert_covers(&client, &server);
        [client.into(), server.into()]
    }

    fn expected(&self, kind: Kind, status: &str) -> [Described; 2] {
        self.expected_each(kind, status, status)
    }

    /// The same, where the two do not agree on how it ended.
    fn expected_each(&self, kind: Kind, of_client: &str, of_server: &str) -> [Described; 2] {
        let attributes = |status: &str| {
            [
                ("rpc.system.name", "grpc".into()),
                ("rpc.method", kind.method().into()),
                ("rpc.status_code", status.to_owned().into()),
                ("server.address", "127.0.0.1".into()),
                ("server.port", i64::from(self.server.address.port()).into()),
            ]
        };
        let client = Described::client(kind.method(), attributes(of_client));
        let client = if of_client == "OK" { client } else { client.failed(of_client) };
        let server = Described::server(kind.method(), attributes(of_server));
        let server =
            if SERVER_ERRORS.contains(&of_server) { server.failed(of_server) } else { server };
        [client, server]
    }
}

/// What is an error on a server.
const SERVER_ERRORS: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// All there are, and their names.
const CODES: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

/// That the client's began first, so that it covers the whole call.
fn assert_covers(client: &SpanData, server: &SpanData) {
    assert!(client.start_time <= server.start_time, "{client:#?}\n{server:#?}");
}

/// With who is at the other end, which tonic's server says.
fn without_peer([client, mut server]: [Described; 2]) -> [Described; 2] {
    let peer = server.attributes.remove("network.peer.address");
    assert_eq!(peer, Some("127.0.0.1".into()));
    assert!(server.attributes.remove("network.peer.port").is_some());
    [client, server]
}

#[tokio::test]
async fn each_status_is_on_both_spans_whenever_the_server_gives_it() {
    let mut ends = Ends::new().await;
    for kind in Kind::ALL {
        for (code, name) in CODES {
            for told in [Do::End(code), Do::EndLater(code)] {
                let (_, got) = call(&mut ends.client, kind, told).await;
                assert_eq!(got, code, "{kind:?} {told:?}");
                let spans = without_peer(ends.of_the_call().await);
                assert_eq!(spans, ends.expected(kind, name), "{kind:?} {told:?}");
            }
        }
    }
    ends.spans.assert_no_more();
}

#[tokio::test]
async fn a_server_that_ends_before_the_client_has_sent_all_ends_the_call() {
    let mut ends = Ends::new().await;
    for kind in [Kind::ClientStream, Kind::BothStream] {
        assert_eq!(call(&mut ends.client, kind, Do::EndEarly).await, (1, Code::Ok));
        let spans = without_peer(ends.of_the_call().await);
        assert_eq!(spans, ends.expected(kind, "OK"), "{kind:?}");
    }
    ends.spans.assert_no_more();
}

#[tokio::test]
async fn a_call_that_its_caller_lets_go_of_is_cancelled_on_both_sides() {
    let mut ends = Ends::new().await;
    for kind in Kind::ALL {
        // Before there is an answer.
        tokio::select! {
            begun = begin(&mut ends.client, kind, Do::Hang, None) => panic!("{begun:?}"),
            () = ends.server.hangs() => {}
        }
        let spans = without_peer(ends.of_the_call().await);
        assert_eq!(spans, ends.expected(kind, "CANCELLED"), "{kind:?}");
        if !kind.streams_back() {
            continue;
        }

        // In the middle of it.
        let begun = begin(&mut ends.client, kind, Do::HangLater, None).await.unwrap();
        let Begun::Streaming(mut stocks) = begun else { panic!("{kind:?} streams") };
        assert!(stocks.message().await.unwrap().is_some());
        ends.server.hangs().await;
        drop(stocks);
        let spans = without_peer(ends.of_the_call().await);
        assert_eq!(spans, ends.expected(kind, "CANCELLED"), "{kind:?}");
    }
    ends.spans.assert_no_more();
}

#[tokio::test]
async fn a_service_that_panics_has_an_unknown_status_and_its_caller_a_stream_that_was_reset() {
    let mut ends = Ends::new().await;
    for kind in Kind::ALL {
        for told in [Do::Panic, Do::PanicLater] {
            let (_, got) = call(&mut ends.client, kind, told).await;
            let [client, server] = without_peer(ends.of_the_call().await);
            let [of_client, of_server] = ends.expected_each(kind, "CANCELLED", "UNKNOWN");
            assert_eq!(server, of_server.failed("panic"), "{kind:?} {told:?}");
            // Its server has reset the stream, and said that nobody needs it any more.
            assert_eq!(client, of_client.failed("http_protocol_error"), "{kind:?} {told:?}");
            assert_eq!(got, Code::Cancelled);
        }
    }
    ends.spans.assert_no_more();
}

#[tokio::test]
async fn a_deadline_that_the_client_keeps_is_exceeded() {
    let spans = Spans::new();
    let server = Server::start(spans.recorder.layer()).await;
    // It says nothing of it to the server.
    let endpoint = server.endpoint().timeout(Duration::from_millis(50));
    let client = crate::support::grpc::client(&endpoint, spans.recorder.client_layer());
    let mut ends = Ends { spans, server, client };
    ends.connect().await;
    for kind in Kind::ALL {
        let error = begin(&mut ends.client, kind, Do::Hang, None).await.unwrap_err();
        assert_eq!(error.message(), "Timeout expired");
        let spans = without_peer(ends.of_the_call().await);
        let [client, server] = ends.expected_each(kind, "DEADLINE_EXCEEDED", "CANCELLED");
        assert_eq!(spans, [client, server], "{kind:?}");
    }
    ends.spans.assert_no_more();
}

#[tokio::test]
async fn a_deadline_that_both_sides_know_is_exceeded() {
    let mut ends = Ends::new().await;
    ends.connect().await;
    for kind in Kind::ALL {
        let timeout = Some(Duration::from_millis(50));
        begin(&mut ends.client, kind, Do::Hang, timeout).await.unwrap_err();
        let spans = without_peer(ends.of_the_call().await);
        // Whichever the server hears of first: its own clock, or the client's.
        let server = &spans[1].attributes["rpc.status_code"];
        let server = server.as_str();
        assert!(matches!(&*server, "DEADLINE_EXCEEDED" | "CANCELLED"), "{server}");
        let expected = ends.expected_each(kind, "DEADLINE_EXCEEDED", &server);
        assert_eq!(spans, expected, "{kind:?}");
    }
    ends.spans.assert_no_more();
}
