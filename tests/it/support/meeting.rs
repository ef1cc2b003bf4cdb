//! Many requests that are all inside their handler at once.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Path, routing::get};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceId,
    trace::{FutureExt, SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use tokio::sync::Barrier;

use crate::support::recorder::{Recorder, attribute};

/// A service whose handler waits until so many requests are in it, and makes a span below its
/// request's.
pub(crate) fn service(recorder: &Recorder, count: usize) -> Router {
    let arrived = Arc::new(Barrier::new(count));
    let tracer = recorder.provider.tracer("handler");
    let app = Router::new().route(
        "/meet/{id}",
        get(async move |Path(id): Path<String>| {
            let cx = Context::current_with_span(tracer.start("child"));
            let met = async {
                arrived.wait().await;
                Context::current().span().set_attribute(KeyValue::new("id", id.clone()));
            };
            met.with_context(cx.clone()).await;
            tokio::task::yield_now().await;
            // Outside of its own span, it is still inside its request's.
            let grandchild = tracer.start_with_context("sibling", &Context::current());
            let grandchild = Context::new().with_span(grandchild);
            grandchild.span().set_attribute(KeyValue::new("id", id.clone()));
            grandchild.span().end();
            cx.span().end();
            id
        }),
    );
    app.layer(recorder.layer())
}

/// Each caller is a span of a trace, both of which have the number of the request.
pub(crate) fn traceparent(id: u64) -> String {
    format!("00-{id:032x}-{id:016x}-01")
}

pub(crate) fn assert_each_is_below_its_own_caller(recorder: &Recorder, count: u64) {
    let spans = recorder.spans();
    assert_eq!(u64::try_from(spans.len()).unwrap(), 3 * count);
    for id in 1..=count {
        let path = format!("/meet/{id}");
        let of_path = |key| {
            let (path, id) = (&path, id.to_string());
            let mut found = spans.iter().filter(move |span| {
                let value = attribute(span, key);
                value.as_ref() == Some(path) || value.as_ref() == Some(&id)
            });
            [found.next(), found.next()]
        };
        let [server, none] = of_path("url.path");
        let server = server.unwrap();
        assert!(none.is_none());
        assert_eq!(server.span_kind, SpanKind::Server);
        assert_eq!(server.span_context.trace_id(), TraceId::from(u128::from(id)));
        assert_eq!(server.parent_span_id, SpanId::from(id));
        for child in of_path("id") {
            let child = child.unwrap();
            assert_eq!(child.span_context.trace_id(), TraceId::from(u128::from(id)));
            assert_eq!(child.parent_span_id, server.span_context.span_id());
            // The child's end is the wall's clock's, which may be set back by a little meanwhile.
            assert!(child.end_time <= server.end_time + Duration::from_millis(10));
        }
    }
}
