//! Exports through a proxy.

use std::time::Duration;

use opentelemetry::trace::{Tracer, TracerProvider};
use tower_telemetry::{
    Telemetry, TelemetryBuilder,
    sdk::export::{Otlp, Protocol},
};

use crate::support::{
    authority::Authority,
    collector::Collector,
    proxy::{Proxy, Tunnels},
};

const LONG: Duration = Duration::from_secs(30);
/// `user:s3cret`, as it is sent.
const CREDENTIALS: &str = "Basic dXNlcjpzM2NyZXQ=";

/// Sends a span; what was said if it did not get there.
fn sent(builder: TelemetryBuilder) -> Result<(), String> {
    let telemetry = builder.build().unwrap();
    drop(telemetry.tracer_provider().tracer("test").start("span"));
    telemetry.shutdown(LONG).map_err(|error| error.to_string())
}

fn code(otlp: Otlp) -> TelemetryBuilder {
    Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp)
}

/// The request's line, and the headers whose names begin like this.
fn lines<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let named = |line: &&str| line.to_ascii_lowercase().starts_with(name);
    [first].into_iter().chain(lines.filter(named)).collect()
}

#[test]
fn plain_http_is_sent_on_by_the_proxy_which_is_told_the_whole_url() {
    let collector = Collector::start([]);
    let proxy = Proxy::start(collector.address(), Tunnels::Yes, None);
    let url = format!("http://user:s3cret@{}", proxy.address());
    let otlp = Otlp::new().with_endpoint("http://collector.example:4318").with_proxy(url);
    assert_eq!(sent(code(otlp)), Ok(()));
    assert_eq!(collector.spans().len(), 1);
    let [head] = &proxy.heard()[..] else { panic!("one request was to come") };
    let expected = [
        "POST http://collector.example:4318/v1/traces HTTP/1.1",
        &format!("proxy-authorization: {CREDENTIALS}"),
    ];
    assert_eq!(lines(head, "proxy-"), expected);
}

#[test]
fn https_and_grpc_go_through_a_tunnel_that_the_credentials_end_at() {
    let authority = Authority::new();
    let identity = authority.signs("collector.example");
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        for tls in [true, false] {
            if !tls && protocol != Protocol::Grpc {
                continue;
            }
            let (collector, url) = if tls {
                let collector = Collector::start_tls([], authority.serves(&identity));
                (collector, "https://collector.example")
            } else {
                (Collector::start([]), "http://collector.example")
            };
            let proxy = Proxy::start(collector.address(), Tunnels::Yes, None);
            let mut otlp = Otlp::new()
                .with_endpoint(url)
                .with_protocol(protocol)
                .with_proxy(format!("http://user:s3cret@{}", proxy.address()));
            if tls {
                otlp = otlp.with_ca_certificate(authority.pem());
            }
            assert_eq!(sent(code(otlp)), Ok(()));
            let [head] = &proxy.heard()[..] else { panic!("one request was to come") };
            let port = if tls { 443 } else { 80 };
            let expected = [
                format!("CONNECT collector.example:{port} HTTP/1.1"),
                format!("Proxy-Authorization: {CREDENTIALS}"),
            ];
            assert_eq!(lines(head, "proxy-"), expected, "{protocol}");
            let [request] = &collector.requests()[..] else { panic!("one request was to come") };
            assert!(!request.headers.contains_key("proxy-authorization"));
        }
    }
}

#[test]
fn the_proxy_itself_may_be_spoken_to_over_tls() {
    let authority = Authority::new();
    let identity = authority.signs("collector.example");
    let collector = Collector::start_tls([], authority.serves(&identity));
    let tls = authority.serves(&authority.signs("127.0.0.1"));
    let proxy = Proxy::start(collector.address(), Tunnels::Yes, Some(tls));
    let otlp = Otlp::new()
        .with_endpoint("https://collector.example")
        .with_ca_certificate(authority.pem())
        .with_proxy(format!("https://{}", proxy.address()));
    assert_eq!(sent(code(otlp)), Ok(()));
    assert_eq!((collector.spans().len(), proxy.heard().len()), (1, 1));
}

#[test]
fn a_proxy_of_socks_is_told_names_or_addresses() {
    let collector = Collector::start([]);
    let proxy = Proxy::start(collector.address(), Tunnels::Yes, None);
    for (scheme, host, asked) in [
        ("socks5h", "collector.example", "user:s3cret@collector.example:4318"),
        ("socks5", "localhost", "user:s3cret@127.0.0.1:4318"),
    ] {
        for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
            let otlp = Otlp::new()
                .with_endpoint(format!("http://{host}:4318"))
                .with_protocol(protocol)
                .with_proxy(format!("{scheme}://user:s3cret@{}", proxy.address()));
            assert_eq!(sent(code(otlp)), Ok(()));
            // Which of this machine's addresses is its own to choose.
            let heard = proxy.heard().into_iter().map(|to| to.replace("::1", "127.0.0.1"));
            assert_eq!(heard.collect::<Vec<_>>(), [asked]);
            assert_eq!(collector.spans().len(), 1);
        }
    }
}

#[test]
fn the_environments_proxy_is_used_unless_code_says_none() {
    let collector = Collector::start([]);
    let proxy = Proxy::start(collector.address(), Tunnels::Yes, None);
    let variables = [
        ("HTTP_PROXY", format!("http://user:s3cret@{}", proxy.address())),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.invalid:4318".to_owned()),
    ];
    let builder = || Telemetry::builder().with_environment(variables.clone());
    assert_eq!(sent(builder()), Ok(()));
    assert_eq!(proxy.heard().len(), 1);
    let otlp = Otlp::new().with_timeout(Duration::from_millis(500)).without_proxy();
    assert!(sent(builder().with_otlp(otlp)).is_err());
    assert!(proxy.heard().is_empty());
    // One on this machine is spoken to directly.
    let otlp = Otlp::new().with_endpoint(collector.url());
    assert_eq!(sent(builder().with_otlp(otlp)), Ok(()));
    assert!(proxy.heard().is_empty());
}

#[test]
fn what_a_proxy_refuses_is_told_without_the_credentials() {
    let collector = Collector::start([]);
    for (status, said) in [
        ("407 Proxy Authentication Required", "proxy authorization required"),
        ("502 Bad Gateway", "unsuccessful"),
    ] {
        let proxy = Proxy::start(collector.address(), Tunnels::No(status), None);
        let otlp = Otlp::new()
            .with_endpoint("http://collector.example")
            .with_protocol(Protocol::Grpc)
            .with_timeout(Duration::from_millis(500))
            .with_proxy(format!("http://user:s3cret@{}", proxy.address()));
        let error = sent(code(otlp)).unwrap_err();
        let expected = format!("could not connect: proxy {}: ", proxy.address());
        assert!(error.contains(&expected) && error.contains(said), "{error}");
        assert!(!error.contains("s3cret") && !error.contains("dXNlc"), "{error}");
    }
    assert!(collector.requests().is_empty());
}
