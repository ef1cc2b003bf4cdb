//! What a request costs that is dropped, recorded, and held by tail sampling until it has ended.
//!
//! `cargo bench --bench tail` has Criterion print the time of each: a server's span and a client's,
//! over services that answer at once.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    convert::Infallible,
    future::{self, Future},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::Criterion;
use http::{Request, Response};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    ClientTraceLayer, SamplerBuilder, Telemetry, TraceLayer, sdk::tail::TailSampling,
};

/// It is never given anything: nothing is sampled, and nothing fails.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

fn telemetry(sampler: SamplerBuilder, tail: Option<TailSampling>) -> Telemetry {
    let builder = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_sampler(sampler)
        .with_span_exporter(Nowhere);
    match tail {
        Some(tail) => builder.with_tail_sampling(tail),
        None => builder,
    }
    .build()
    .unwrap()
}

fn ready<F: Future>(future: F) -> F::Output {
    let Poll::Ready(output) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("it waits for nothing");
    };
    output
}

/// A request, to be served again and again.
fn serving(telemetry: &Telemetry) -> impl FnMut() + use<> {
    let answers = service_fn(|_: Request<()>| {
        future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    let client = ClientTraceLayer::new().with_telemetry(telemetry).layer(answers);
    let handler = service_fn(move |_: Request<()>| {
        let mut client = client.clone();
        async move { client.call(Request::get("http://inventory/items/42").body(()).unwrap()).await }
    });
    let mut server = TraceLayer::new().with_telemetry(telemetry).layer(handler);
    move || {
        let request = Request::get("/items/42").header("host", "shop").body(()).unwrap();
        drop(black_box(ready(server.call(request)).unwrap()));
    }
}

fn main() {
    let off = || SamplerBuilder::new().with_always_off();
    let mut criterion = Criterion::default().configure_from_args();
    for (name, sampler, tail) in [
        ("dropped", off(), None),
        ("recorded", off().with_always_record(), None),
        ("held and discarded", off(), Some(TailSampling::new())),
    ] {
        let telemetry = telemetry(sampler, tail);
        criterion.bench_function(name, |bench| bench.iter(serving(&telemetry)));
        telemetry.shutdown(Duration::from_secs(5)).unwrap();
    }
    criterion.final_summary();
}
