//! How often a request was sent before.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response, StatusCode};
use opentelemetry::{Context, SpanId, trace::FutureExt};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    retry::{Policy, RetryLayer},
    service_fn,
};
use tower_http::follow_redirect::{FollowRedirectLayer, policy::Limited};
use tower_telemetry::{
    ClientTraceLayer, TraceLayer,
    client::{ResendCount, ResendCountLayer, Verdict},
    propagation::TraceContext,
};

use crate::support::{
    far_side::{Again, FarSide, as_reqwest, traceparent_of},
    recorder::{Recorder, attribute},
};

fn ask(url: &str) -> Request<()> {
    Request::get(url).body(()).unwrap()
}

fn count(span: &SpanData) -> Option<String> {
    attribute(span, "http.request.resend_count")
}

fn counts(recorder: &Recorder) -> Vec<Option<String>> {
    recorder.clients().iter().map(count).collect()
}

/// Counts as they are written: none, then these.
fn counted<const N: usize>(expected: [u32; N]) -> Vec<Option<String>> {
    expected.map(|count| Some(count.to_string()).filter(|_| count > 0)).into()
}

#[test]
fn the_first_attempt_has_no_count_and_each_request_starts_again() {
    let recorder = Recorder::new();
    let far = FarSide::default();
    let mut service = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(2)))
        .layer(recorder.client_layer())
        .service(far.clone());
    for _ in 0..2 {
        tokio_test::block_on(service.call(ask("http://inventory/"))).unwrap();
    }
    tokio_test::block_on(service.call(as_reqwest(&ask("http://inventory/")))).unwrap();
    assert_eq!(counts(&recorder), counted([0, 1, 2, 0, 1, 2, 0, 1, 2]));
    // Each attempt is a span of its own, side by side, and named to the other side.
    let spans = recorder.spans();
    let sent: Vec<_> = spans.iter().map(|span| vec![traceparent_of(span)]).collect();
    assert_eq!(far.traceparents(), sent);
    assert!(spans.iter().all(|span| span.parent_span_id == SpanId::INVALID));
}

/// Makes the next request anew, by hand, without the extensions of the first.
#[derive(Clone)]
struct ByHand(usize);

impl<T, E> Policy<Request<()>, T, E> for ByHand {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<()>, _: &mut Result<T, E>) -> Option<Ready<()>> {
        self.0 = self.0.checked_sub(1)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        let mut anew = ask("http://inventory/");
        anew.headers_mut().clone_from(request.headers());
        Some(anew)
    }
}

#[test]
fn a_policy_that_loses_the_extensions_loses_no_count() {
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(ByHand(2)))
        .layer(recorder.client_layer())
        .service(FarSide::default());
    tokio_test::block_on(service.call(ask("http://inventory/"))).unwrap();
    assert_eq!(counts(&recorder), counted([0, 1, 2]));
}

#[test]
fn without_the_layer_or_without_a_second_attempt_nothing_is_counted() {
    let recorder = Recorder::new();
    let uncounted =
        ServiceBuilder::new().layer(RetryLayer::new(Again(1))).layer(recorder.client_layer());
    tokio_test::block_on(uncounted.service(FarSide::default()).call(ask("http://a/"))).unwrap();
    let once = ServiceBuilder::new().layer(ResendCountLayer::new()).layer(recorder.client_layer());
    tokio_test::block_on(once.service(FarSide::default()).call(ask("http://a/"))).unwrap();
    assert_eq!(counts(&recorder), counted([0, 0, 0]));
}

#[test]
fn two_requests_at_once_are_counted_each_for_itself() {
    let recorder = Recorder::new();
    let inner = service_fn(|request: Request<()>| async move {
        tokio::task::yield_now().await;
        drop(request);
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut service = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(2)))
        .layer(recorder.client_layer())
        .service(inner);
    let mut first = task::spawn(service.call(ask("http://first/")));
    let mut second = task::spawn(service.call(ask("http://second/")));
    // Each poll comes as far as the next attempt.
    for _ in 0..3 {
        assert_pending!(first.poll());
        assert_pending!(second.poll());
    }
    assert_ready_ok!(first.poll());
    assert_ready_ok!(second.poll());
    let mut of: HashMap<_, Vec<_>> = HashMap::new();
    for span in recorder.spans() {
        of.entry(attribute(&span, "url.full").unwrap()).or_default().push(count(&span));
    }
    assert_eq!(of.len(), 2);
    assert!(of.values().all(|counts| *counts == counted([0, 1, 2])), "{of:?}");
}

#[test]
fn an_attempt_without_a_span_is_one_still() {
    // Of three attempts the second is filtered.
    let recorder = Recorder::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let layer = recorder.client_layer().with_filter(move |_| {
        if sent.fetch_add(1, Ordering::Relaxed) == 1 { Verdict::none() } else { Verdict::all() }
    });
    let mut service = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(2)))
        .layer(layer)
        .service(FarSide::default());
    tokio_test::block_on(service.call(ask("http://inventory/"))).unwrap();
    assert_eq!(counts(&recorder), counted([0, 2]));

    // Of two clients the first samples nothing.
    let recorder = Recorder::new();
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let off = ClientTraceLayer::new()
        .with_tracer_provider(&provider)
        .with_propagator(TraceContext::new());
    let none = ClientTraceLayer::new().with_propagator(TraceContext::new());
    let _attempts = Context::current_with_value(ResendCount::new()).attach();
    for layer in [off, none, recorder.client_layer()] {
        let call = layer.layer(FarSide::default()).call(ask("http://inventory/"));
        tokio_test::block_on(call).unwrap();
    }
    assert_eq!(counts(&recorder), counted([2]));
}

#[test]
fn a_request_that_comes_through_two_layers_is_one_attempt() {
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(1)))
        .layer(recorder.client_layer())
        .layer(recorder.client_layer())
        .service(FarSide::default());
    tokio_test::block_on(service.call(ask("http://inventory/"))).unwrap();
    assert_eq!(counts(&recorder), counted([0, 1]));
}

#[test]
fn a_loop_of_ones_own_counts_in_its_context() {
    let recorder = Recorder::new();
    let mut service = recorder.client_layer().layer(FarSide::default());
    tokio_test::block_on(async {
        for _ in 0..2 {
            let attempts = async {
                for _ in 0..2 {
                    service.call(ask("http://inventory/")).await.unwrap();
                }
            };
            attempts.with_context(Context::current_with_value(ResendCount::default())).await;
        }
        service.call(ask("http://inventory/")).await.unwrap();
    });
    assert_eq!(counts(&recorder), counted([0, 1, 0, 1, 0]));
}

#[test]
fn of_two_counts_the_inner_one_is_of_its_own_request() {
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(1)))
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(1)))
        .layer(recorder.client_layer())
        .service(FarSide::default());
    tokio_test::block_on(service.call(ask("http://inventory/"))).unwrap();
    assert_eq!(counts(&recorder), counted([0, 1, 0, 1]));
}

#[test]
fn what_is_sent_because_of_an_attempt_is_none() {
    let recorder = Recorder::new();
    let token = recorder.client_layer().layer(FarSide::default());
    let inner = service_fn(move |_: Request<()>| {
        let mut token = token.clone();
        // In the call and in the future.
        let early = token.call(ask("http://tokens/"));
        async move {
            early.await.unwrap();
            token.call(ask("http://tokens/")).await
        }
    });
    let mut service = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(1)))
        .layer(recorder.client_layer())
        .service(inner);
    tokio_test::block_on(service.call(ask("http://inventory/"))).unwrap();
    assert_eq!(counts(&recorder), counted([0, 0, 0, 0, 0, 1]));
    let urls: Vec<_> =
        recorder.spans().iter().map(|span| attribute(span, "url.full").unwrap()).collect();
    let (token, request) = ("http://tokens/", "http://inventory/");
    assert_eq!(urls, [token, token, request, token, token, request]);
}

#[test]
fn readiness_is_the_inner_services_and_so_are_request_response_and_error() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<u8, u16, _>(ResendCountLayer::new());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(2);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let mut future = task::spawn(service.call(7));
    assert_pending!(future.poll());
    let (request, reply) = tokio_test::block_on(handle.next_request()).unwrap();
    assert_eq!(request, 7);
    reply.send_response(700);
    assert_eq!(assert_ready_ok!(future.poll()), 700);

    assert_ready_ok!(service.poll_ready());
    let mut future = task::spawn(service.call(8));
    let (_, reply) = tokio_test::block_on(handle.next_request()).unwrap();
    reply.send_error("no");
    assert_eq!(assert_ready!(future.poll()).unwrap_err().to_string(), "no");
}

// Redirects.

/// A server in this process: `/a` is at `/b`, that is at `/c`, and `/round` is where it is.
#[derive(Clone)]
struct Moved(TraceLayer);

impl Service<Request<String>> for Moved {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>>>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let served = self.0.layer(service_fn(|request: Request<String>| async move {
            let to = match request.uri().path() {
                "/a" => "/b",
                "/b" => "/c",
                "/round" => "/round",
                _ => return Ok::<_, Infallible>(Response::new(String::new())),
            };
            let moved = Response::builder().status(302).header("location", to);
            Ok(moved.body(String::new()).unwrap())
        }));
        Box::pin(async move {
            Ok(served.oneshot(request).await?.map(|body| {
                drop(body);
                String::new()
            }))
        })
    }
}

fn follow<T>(recorder: &Recorder, url: &str, client: impl FnOnce(Moved) -> T) -> StatusCode
where
    T: Service<Request<String>, Error = Infallible>,
    T::Response: Into<Answer>,
{
    let request = Request::get(url).body(String::new()).unwrap();
    let call = client(Moved(recorder.layer())).oneshot(request);
    tokio_test::block_on(call).map(Into::<Answer>::into).unwrap().0
}

/// A response of which only the status code matters.
struct Answer(StatusCode);

impl<B> From<Response<B>> for Answer {
    fn from(response: Response<B>) -> Self {
        Self(response.status())
    }
}

fn status_code(span: &SpanData) -> String {
    attribute(span, "http.response.status_code").unwrap()
}

/// Each server span, and the client span that it is below.
fn pairs(recorder: &Recorder) -> Vec<(SpanData, SpanData)> {
    let clients = recorder.clients();
    let of = |server: SpanData| {
        let parent = |client: &&SpanData| client.span_context.span_id() == server.parent_span_id;
        let client = clients.iter().find(parent).unwrap().clone();
        assert_eq!(client.span_context.trace_id(), server.span_context.trace_id());
        (client, server)
    };
    recorder.servers().into_iter().map(of).collect()
}

#[test]
fn a_redirect_that_a_layer_follows_is_an_attempt() {
    for (url, expected) in [
        ("http://shop/b", vec!["http://shop/b", "http://shop/c"]),
        ("http://shop/a", vec!["http://shop/a", "http://shop/b", "http://shop/c"]),
    ] {
        let recorder = Recorder::new();
        let answered = follow(&recorder, url, |far| {
            ServiceBuilder::new()
                .layer(ResendCountLayer::new())
                .layer(FollowRedirectLayer::new())
                .layer(recorder.client_layer())
                .service(far)
        });
        assert_eq!(answered, 200);
        let pairs = pairs(&recorder);
        assert_eq!(recorder.clients().len(), expected.len());
        assert_eq!(pairs.len(), expected.len());
        for (at, ((client, server), url)) in pairs.iter().zip(&expected).enumerate() {
            assert_eq!(attribute(client, "url.full").as_deref(), Some(*url));
            assert_eq!(count(client), (at > 0).then(|| at.to_string()));
            assert_eq!(status_code(client), if at + 1 < expected.len() { "302" } else { "200" });
            assert_eq!(client.status, opentelemetry::trace::Status::Unset);
            assert!(url.ends_with(&attribute(server, "url.path").unwrap()));
        }
    }
}

#[test]
fn redirects_that_are_followed_inside_of_the_layer_are_one_span() {
    fn assert_one(send: impl FnOnce(&Recorder) -> StatusCode) {
        let recorder = Recorder::new();
        assert_eq!(send(&recorder), 200);
        let [client] = <[SpanData; 1]>::try_from(recorder.clients()).unwrap();
        assert_eq!(attribute(&client, "url.full").unwrap(), "http://shop/a");
        assert_eq!(status_code(&client), "200");
        assert_eq!(count(&client), None);
        assert_eq!(pairs(&recorder).len(), 3);
    }

    assert_one(|recorder| {
        let layer =
            ServiceBuilder::new().layer(recorder.client_layer()).layer(FollowRedirectLayer::new());
        follow(recorder, "http://shop/a", |far| layer.service(far))
    });
    // Also if there is another layer behind.
    assert_one(|recorder| {
        let layer = ServiceBuilder::new()
            .layer(recorder.client_layer())
            .layer(FollowRedirectLayer::new())
            .layer(recorder.client_layer());
        follow(recorder, "http://shop/a", |far| layer.service(far))
    });
}

#[test]
fn a_redirect_that_goes_round_ends_as_the_last_answer() {
    let recorder = Recorder::new();
    let answered = follow(&recorder, "http://shop/round", |far| {
        ServiceBuilder::new()
            .layer(ResendCountLayer::new())
            .layer(FollowRedirectLayer::with_policy(Limited::new(2)))
            .layer(recorder.client_layer())
            .service(far)
    });
    assert_eq!(answered, 302);
    assert_eq!(counts(&recorder), counted([0, 1, 2]));
    for (client, _) in pairs(&recorder) {
        assert_eq!(status_code(&client), "302");
        assert_eq!(client.status, opentelemetry::trace::Status::Unset);
    }

    let recorder = Recorder::new();
    follow(&recorder, "http://shop/round", |far| {
        ServiceBuilder::new()
            .layer(recorder.client_layer())
            .layer(FollowRedirectLayer::with_policy(Limited::new(2)))
            .service(far)
    });
    assert_eq!(status_code(&recorder.clients()[0]), "302");
    assert_eq!(recorder.servers().len(), 3);
}
