//! Exchanges that are cut off anywhere: nothing stays under way, and metrics agree with spans.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tokio_test::task;
use tower::{Layer, Service};
use tower_telemetry::{MetricsLayer, SamplerBuilder, TraceLayer, server::SpanEnd};

use crate::support::{
    body::{Script, Step},
    meters::Meters,
    recorder::Recorder,
    sdk::sampled_by,
};

/// One request, and where it is cut off.
#[derive(Clone, Debug)]
struct Exchange {
    /// How often the service is pending before it answers.
    pending: usize,
    answer: Answer,
    status_code: u16,
    announced: bool,
    frames: Vec<Part>,
    ends_with_head: bool,
    /// How many polls there are at most, of the future and then of the body.
    polls: usize,
}

#[derive(Clone, Debug)]
enum Answer {
    Response,
    Error,
    Panic,
    PanicInCall,
}

#[derive(Clone, Debug)]
enum Part {
    Pending,
    Data,
    Trailers,
    Error,
    Panic,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let answer = prop_oneof![
        6 => Just(Answer::Response),
        1 => Just(Answer::Error),
        1 => Just(Answer::Panic),
        1 => Just(Answer::PanicInCall),
    ];
    let part = prop_oneof![
        4 => Just(Part::Data),
        2 => Just(Part::Pending),
        1 => Just(Part::Trailers),
        1 => Just(Part::Error),
        1 => Just(Part::Panic),
    ];
    let code = prop_oneof![Just(200_u16), Just(204), Just(404), Just(503)];
    (0..3_usize, answer, code, any::<bool>(), vec(part, 0..5), any::<bool>(), 0..10_usize).prop_map(
        |(pending, answer, status_code, announced, frames, ends_with_head, polls)| Exchange {
            pending,
            answer,
            status_code,
            announced,
            frames,
            ends_with_head,
            polls,
        },
    )
}

/// The service of an exchange.
#[derive(Clone)]
struct Scripted(Exchange);

impl Service<Request<()>> for Scripted {
    type Response = Response<Script>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let exchange = self.0.clone();
        if matches!(exchange.answer, Answer::PanicInCall) {
            panic!("the service panics, as it was told to");
        }
        let mut pending = exchange.pending;
        Box::pin(async move {
            poll_fn(|_| {
                pending = pending.saturating_sub(1);
                if pending == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            match exchange.answer {
                Answer::Panic => panic!("the service panics, as it was told to"),
                Answer::Error => Err(io::Error::other("no answer")),
                Answer::Response | Answer::PanicInCall => Ok(exchange.response()),
            }
        })
    }
}

impl Exchange {
    fn response(&self) -> Response<Script> {
        let step = |part: &Part| match part {
            Part::Pending => Step::Pending,
            Part::Data => Step::Data("data"),
            Part::Trailers => Step::Trailers(HeaderMap::new()),
            Part::Error => Step::Error,
            Part::Panic => Step::Panic,
        };
        let mut response = Response::new(Script::new(self.frames.iter().map(step)));
        *response.status_mut() = self.status_code.try_into().unwrap();
        if self.announced {
            response.headers_mut().insert(header::CONTENT_LENGTH, "8".parse().unwrap());
        }
        if self.ends_with_head {
            response.extensions_mut().insert(SpanEnd::Head);
        }
        response
    }
}

/// Plays the exchange through the layer, and lets go of it where it is cut off.
fn play<L, B>(layer: &L, exchange: &Exchange)
where
    L: Layer<Scripted>,
    L::Service: Service<Request<()>, Response = Response<B>>,
    B: Body,
{
    let mut service = layer.layer(Scripted(exchange.clone()));
    let mut polls = exchange.polls;
    // A panic of the service is the service's, wherever it comes up.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let mut future = task::spawn(service.call(Request::new(())));
        let response = loop {
            if polls == 0 {
                return;
            }
            polls -= 1;
            match future.poll() {
                Poll::Pending => {}
                Poll::Ready(Ok(response)) => break response,
                Poll::Ready(Err(_)) => return,
            }
        };
        let mut body = task::spawn(response.into_body());
        for _ in 0..polls {
            if let Poll::Ready(None) = body.enter(|cx, body| body.poll_frame(cx)) {
                return;
            }
        }
    }));
}

/// A thousand of them, the same in each run.
fn exchanges() -> Vec<Exchange> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..1000).map(|_| exchange().new_tree(&mut runner).unwrap().current()).collect()
}

/// How many exchanges ended in each way, so that all of them are among those.
fn ways(meters: &Meters, name: &str) -> BTreeMap<String, usize> {
    let mut ways = BTreeMap::new();
    for one in meters.of(name) {
        let error = one.attributes.get("error.type").map_or_else(String::new, ToString::to_string);
        *ways.entry(error).or_default() += 1;
    }
    ways
}

#[test]
fn a_thousand_requests_are_cut_off_anywhere_and_nothing_stays_under_way() {
    let recorder = Recorder::new();
    let layer = recorder.layer();
    let client = recorder.client_layer().with_span_end(SpanEnd::Body);
    let exchanges = exchanges();
    for exchange in &exchanges {
        play(&layer, exchange);
        play(&client, exchange);
    }
    // That each of them agrees with its span is a matter of reading them.
    assert_eq!(recorder.servers().len(), 1000);
    assert_eq!(recorder.clients().len(), 1000);
    for side in ["server", "client"] {
        let duration = format!("http.{side}.request.duration");
        let active = format!("http.{side}.active_requests");
        assert_eq!(recorder.meters.count(&duration), 1000);
        assert_eq!(recorder.meters.count(&active), 2000);
        assert_eq!(recorder.meters.active(&active), []);
    }
    let ways = ways(&recorder.meters, "http.server.request.duration");
    for way in ["", "503", "cancelled", "panic", "std::io::error::Error"] {
        assert!(ways.get(way).is_some_and(|count| *count >= 20), "{way}: {ways:?}");
    }
}

#[test]
fn what_is_not_sampled_is_measured_as_if_it_were() {
    let said = |meters: &Meters| -> Vec<_> {
        let of_duration = meters.of("http.server.request.duration").into_iter();
        of_duration.map(|one| one.attributes).collect()
    };
    let recorder = Recorder::new();
    let (sampled, unsampled, alone) = (recorder.layer(), Meters::default(), Meters::default());
    let (telemetry, _) = sampled_by(SamplerBuilder::new().with_always_off());
    let unsampled_layer = TraceLayer::new()
        .with_telemetry(&telemetry)
        .with_metrics(Meters::everything())
        .with_meter_provider(&unsampled);
    let alone_layer =
        MetricsLayer::new().with_metrics(Meters::everything()).with_meter_provider(&alone);
    for exchange in &exchanges() {
        play(&sampled, exchange);
        play(&unsampled_layer, exchange);
        play(&alone_layer, exchange);
    }
    let expected = said(&recorder.meters);
    assert_eq!(expected.len(), 1000);
    assert_eq!(said(&unsampled), expected);
    assert_eq!(said(&alone), expected);
    for meters in [&unsampled, &alone] {
        assert_eq!(meters.active("http.server.active_requests"), []);
    }
}
