//! What may go where, and what of it any propagator writes.

use http::{HeaderMap, HeaderValue, Request};
use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    propagation::{
        Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
        text_map_propagator::FieldIter,
    },
    trace::{TraceContextExt, TraceFlags},
};
use opentelemetry_sdk::propagation::BaggagePropagator;
use tower::Layer;
use tower_telemetry::{
    ClientTraceLayer, PropagationLayer,
    client::{PropagationTargets, RequestHead},
    propagation::{Propagator, TraceContext},
};

use crate::support::{
    far_side::{FarSide, elsewhere, lines, received},
    recorder::Recorder,
};

/// What arrives of a request of either type, through either layer; they all say the same.
/// There is a caller with baggage.
#[derive(Clone)]
struct Layers {
    client: ClientTraceLayer,
    alone: PropagationLayer,
    recorder: Recorder,
}

impl Layers {
    /// Both write trace context and baggage.
    fn new() -> Self {
        let recorder = Recorder::new();
        let client = recorder.client_layer();
        Self { client, alone: PropagationLayer::new(), recorder }.with(|| {
            TextMapCompositePropagator::new(vec![
                Box::new(TraceContext::new()),
                Box::new(BaggagePropagator::new()),
            ])
        })
    }

    fn with<P>(mut self, propagator: impl Fn() -> P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.client = self.client.with_propagator(propagator());
        self.alone = self.alone.with_propagator(propagator());
        self
    }

    fn to(mut self, targets: &PropagationTargets) -> Self {
        self.client = self.client.with_propagation_targets(targets.clone());
        self.alone = self.alone.with_propagation_targets(targets.clone());
        self
    }

    fn baggage_to(mut self, targets: &PropagationTargets) -> Self {
        self.client = self.client.with_baggage_to(targets.clone());
        self.alone = self.alone.with_baggage_to(targets.clone());
        self
    }

    fn arrives(&self, request: &Request<()>) -> [HeaderMap; 4] {
        let cx = elsewhere(TraceFlags::SAMPLED);
        let _attached = cx.with_baggage([KeyValue::new("tenant", "acme")]).attach();
        let before = self.recorder.spans().len();
        let [a, b] = received(&self.client, request);
        // Whatever goes along, there is a span.
        assert_eq!(self.recorder.spans().len(), before + 2);
        let [c, d] = received(&self.alone, request);
        [a, b, c, d]
    }

    /// How many lines of these headers arrive.
    fn lines<const N: usize>(&self, request: &Request<()>, names: [&str; N]) -> [usize; N] {
        let [first, others @ ..] = self
            .arrives(request)
            .map(|headers| names.map(|name| headers.get_all(name).iter().count()));
        assert_eq!(others, [first; 3]);
        first
    }

    /// Whether the trace context arrives; if not, nothing of it may.
    fn reaches(&self, url: &str) -> bool {
        match self.lines(&used(url), ["traceparent", "tracestate", "baggage", "other"]) {
            [1, 0, 0, 1] => true,
            [0, 0, 0, 1] => false,
            lines => panic!("{url}: {lines:?}"),
        }
    }
}

/// A request that carries what is not ours.
fn used(url: &str) -> Request<()> {
    Request::get(url)
        .header("traceparent", "old")
        .header("traceparent", "older")
        .header("tracestate", "foreign=1")
        .header("baggage", "secret=1")
        .header("baggage", "secret=2")
        .header("other", "stays")
        .body(())
        .unwrap()
}

fn hosts(hosts: &[&str]) -> PropagationTargets {
    PropagationTargets::hosts(hosts).unwrap()
}

#[test]
fn context_goes_everywhere_unless_it_is_kept_at_home() {
    let url = "http://inventory/items/42";
    assert!(Layers::new().reaches(url));
    assert!(Layers::new().to(&PropagationTargets::everywhere()).reaches(url));
    assert!(!Layers::new().to(&PropagationTargets::nowhere()).reaches(url));
    assert!(!Layers::new().to(&hosts(&[])).reaches(url));
}

#[test]
fn a_host_is_the_urls_and_no_trick_makes_it_another() {
    let layers = Layers::new().to(&hosts(&["inventory", "*.shop.example", "10.0.0.7", "::1"]));
    for url in [
        "http://inventory/",
        "https://inventory:8443/",
        "http://INVENTORY/",
        "http://inventory./",
        "http://user:secret@inventory/",
        "http://evil.example@inventory/",
        "http://a.shop.example/",
        "http://a.b.Shop.Example./",
        "http://10.0.0.7:3000/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]:3000/",
    ] {
        assert!(layers.reaches(url), "{url}");
    }
    for url in [
        "http://inventory@evil.example/",
        "http://inventory:80@evil.example/",
        "http://inventory.evil.example/",
        "http://evil.example/inventory",
        "http://evil.example/?http://inventory/",
        "http://evil.example:80/@inventory",
        "http://xinventory/",
        "http://inventory../",
        "http://shop.example/",
        "http://evilshop.example/",
        "http://10.0.0.70/",
        "http://[::2]/",
        "http://[::ffff:10.0.0.7]/",
    ] {
        assert!(!layers.reaches(url), "{url}");
    }
}

#[test]
fn no_header_says_where_a_request_goes() {
    let layers = Layers::new().to(&hosts(&["inventory"]));
    let fooled = |uri: &str| {
        let mut request = used(uri);
        for name in ["host", "x-forwarded-host"] {
            request.headers_mut().insert(name, HeaderValue::from_static("inventory"));
        }
        request.headers_mut().insert("forwarded", HeaderValue::from_static("host=inventory"));
        request
    };
    assert_eq!(layers.lines(&fooled("http://evil.example/"), ["traceparent", "baggage"]), [0, 0]);

    // Of a URL without a host, of which reqwest has none, nothing is known.
    let arrives = |layer: &ClientTraceLayer, request: &Request<()>| {
        let far = FarSide::default();
        let mut service = layer.layer(far.clone());
        let call = tower::Service::call(&mut service, request.clone());
        tokio_test::block_on(call).unwrap();
        lines(&far.headers()[0], "traceparent").len()
    };
    let request = fooled("/items/42");
    assert_eq!(arrives(&layers.client, &request), 0);
    let of_origin = |origin| layers.client.clone().with_origin(origin).unwrap();
    assert_eq!(arrives(&of_origin("http://inventory:50051"), &request), 1);
    assert_eq!(arrives(&of_origin("http://user@INVENTORY."), &request), 1);
    assert_eq!(arrives(&of_origin("http://inventory@evil.example"), &request), 0);
    // What the URL says comes first.
    assert_eq!(arrives(&of_origin("http://inventory"), &fooled("http://evil.example/")), 0);
    assert_eq!(arrives(&of_origin("http://evil.example"), &fooled("http://inventory/")), 1);
    // A layer without an origin has only the URL to go by.
    let far = FarSide::default();
    let mut service = layers.alone.layer(far.clone());
    tokio_test::block_on(tower::Service::call(&mut service, request)).unwrap();
    assert!(lines(&far.headers()[0], "traceparent").is_empty());
}

#[test]
fn a_predicate_sees_the_request_and_has_said_no_if_it_panics() {
    let secure = PropagationTargets::by(|request: &RequestHead<'_>| {
        assert_eq!(request.method(), "GET");
        request.uri().scheme_str() == Some("https") && request.headers().contains_key("other")
    });
    let layers = Layers::new().to(&secure);
    assert!(layers.reaches("https://inventory/"));
    assert!(!layers.reaches("http://inventory/"));

    let panics = PropagationTargets::by(|_| panic!("the predicate panics, as it was told to"));
    assert!(!Layers::new().to(&panics).reaches("http://inventory/"));
    let layers = Layers::new().baggage_to(&panics);
    assert!(layers.reaches("http://inventory/"));
}

#[test]
fn baggage_goes_where_both_may_go() {
    let (everywhere, nowhere) = (PropagationTargets::everywhere(), PropagationTargets::nowhere());
    let ours = hosts(&["inventory"]);
    for (context, baggage, arrives) in [
        (&everywhere, &everywhere, [1, 1]),
        (&everywhere, &nowhere, [1, 0]),
        (&everywhere, &ours, [1, 1]),
        (&ours, &everywhere, [1, 1]),
        (&ours, &hosts(&["payments"]), [1, 0]),
        (&hosts(&["payments"]), &everywhere, [0, 0]),
        (&nowhere, &everywhere, [0, 0]),
        (&nowhere, &nowhere, [0, 0]),
    ] {
        let layers = Layers::new().to(context).baggage_to(baggage);
        let request = used("http://inventory/");
        let lines_of = layers.lines(&request, ["traceparent", "baggage"]);
        assert_eq!(lines_of, arrives, "{context:?} {baggage:?}");
        for headers in layers.arrives(&request) {
            let expected = if arrives[1] == 1 { vec!["tenant=acme"] } else { vec![] };
            assert_eq!(lines(&headers, "baggage"), expected);
        }
    }
}

#[test]
fn what_is_written_by_hand_is_only_taken_away_by_a_propagator_whose_field_it_is() {
    // One that knows nothing of baggage leaves it, wherever it may go.
    for targets in [PropagationTargets::everywhere(), PropagationTargets::nowhere()] {
        let layers = Layers::new().with(TraceContext::new).to(&targets);
        let written = layers.lines(&used("http://inventory/"), ["traceparent", "baggage"]);
        assert_eq!(written, if targets_all(&targets) { [1, 2] } else { [0, 2] });
    }
    // One that knows of nothing else writes it alone.
    let layers = Layers::new().with(BaggagePropagator::new);
    let request = used("http://inventory/");
    assert_eq!(layers.lines(&request, ["traceparent", "tracestate", "baggage"]), [2, 1, 0]);
    let layers = layers.baggage_to(&PropagationTargets::everywhere());
    assert_eq!(layers.lines(&request, ["traceparent", "tracestate", "baggage"]), [2, 1, 1]);
}

fn targets_all(targets: &PropagationTargets) -> bool {
    format!("{targets:?}") == "everywhere"
}

#[test]
fn without_a_span_baggage_goes_along_alone() {
    let recorder = Recorder::new();
    let layers = Layers { recorder, ..Layers::new() };
    let _attached = Context::new().with_baggage([KeyValue::new("tenant", "acme")]).attach();
    let plain = Request::get("http://inventory/").body(()).unwrap();
    for headers in received(&layers.alone, &plain) {
        assert!(headers.is_empty());
    }
    let allowed = layers.baggage_to(&PropagationTargets::everywhere());
    for headers in received(&allowed.alone, &plain) {
        assert_eq!(lines(&headers, "baggage"), ["tenant=acme"]);
        assert!(lines(&headers, "traceparent").is_empty());
    }
}

/// Somebody else's, which does not care for case, and panics in the middle if it is told to.
#[derive(Debug)]
struct Foreign {
    fields: [String; 2],
    panics: bool,
}

impl Foreign {
    fn new(panics: bool) -> Self {
        Self { fields: ["X-Trace".to_owned(), "x-span".to_owned()], panics }
    }
}

impl TextMapPropagator for Foreign {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        injector.set("X-Trace", span.span_context().trace_id().to_string());
        assert!(!self.panics, "the propagator panics, as it was told to");
        injector.set("x-span", span.span_context().span_id().to_string());
    }

    fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

#[test]
fn what_is_no_host_is_an_error_that_shows_no_secret() {
    for bad in ["http://user:s3cret@inventory", "user:s3cret@inventory", "inventory/?key=s3cret"] {
        let error = PropagationTargets::hosts([bad]).unwrap_err();
        assert_eq!(error.setting(), "host");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn a_propagator_of_somebody_elses_writes_and_its_fields_are_taken_away() {
    let request = Request::get("http://inventory/")
        .header("x-trace", "old")
        .header("x-trace", "older")
        .header("x-span", "old")
        .header("traceparent", "stays")
        .body(())
        .unwrap();
    let names = ["x-trace", "x-span", "traceparent"];
    let layers = Layers::new().with(|| Foreign::new(false));
    assert_eq!(layers.lines(&request, names), [1, 1, 1]);
    let [client, ..] = layers.arrives(&request);
    assert_eq!(lines(&client, "x-trace"), [format!("{:032x}", 42)]);
    assert_eq!(lines(&client, "traceparent"), ["stays"]);

    let denied = layers.clone().to(&PropagationTargets::nowhere());
    assert_eq!(denied.lines(&request, names), [0, 0, 1]);

    // One that panics has written what it has by then, and the request goes on.
    let panicking = layers.with(|| Foreign::new(true));
    assert_eq!(panicking.lines(&request, names), [1, 0, 1]);
}

#[test]
fn baggage_goes_nowhere_that_one_of_two_layers_does_not_allow() {
    let layers = Layers::new();
    let ours = PropagationTargets::hosts(["inventory"]).unwrap();
    let outer = layers.client.clone().with_baggage_to(PropagationTargets::everywhere());
    let inner = layers.client.with_baggage_to(ours);
    let _cx = Context::current_with_baggage([KeyValue::new("tenant", "acme")]).attach();
    let request = Request::get("http://stranger/").body(()).unwrap();
    let arrived = received(&tower::ServiceBuilder::new().layer(outer).layer(inner), &request);
    assert_eq!(arrived.map(|headers| lines(&headers, "baggage").len()), [0, 0]);
}

#[test]
fn baggage_of_any_format_stays_at_home_whoever_writes_it() {
    let names = ["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray"];
    let all = Propagator::named(names).unwrap();
    let in_a_box: fn(Propagator) -> TextMapCompositePropagator =
        |all| TextMapCompositePropagator::new(vec![Box::new(all)]);
    let mut request = used("http://inventory/items/42");
    request.headers_mut().insert("uberctx-secret", HeaderValue::from_static("1"));
    let carried = ["baggage", "uberctx-tenant", "uberctx-secret"];
    let spans = ["traceparent", "b3", "x-b3-traceid", "uber-trace-id", "x-amzn-trace-id"];
    let ours = Layers::new().with(|| all.clone());
    let foreign = Layers::new().with(|| in_a_box(all.clone()));
    for layers in [ours, foreign] {
        assert_eq!(layers.lines(&request, carried), [0, 0, 0]);
        assert_eq!(layers.lines(&request, spans), [1; 5]);
        let allowed = layers.clone().baggage_to(&PropagationTargets::everywhere());
        assert_eq!(allowed.lines(&request, carried), [1, 1, 0]);
        let nowhere = allowed.to(&PropagationTargets::nowhere());
        assert_eq!(nowhere.lines(&request, carried), [0, 0, 0]);
        assert_eq!(nowhere.lines(&request, spans), [0; 5]);
    }
}

#[test]
fn baggage_stays_at_home_also_where_no_span_speaks_for_the_request() {
    let names = ["baggage", "jaeger"];
    let ours = Propagator::named(names).unwrap();
    let foreign =
        || TextMapCompositePropagator::new(vec![Box::new(Propagator::named(names).unwrap())]);
    let by_hand = Request::get("http://inventory/")
        .header("baggage", "secret=1")
        .header("uberctx-secret", "1")
        .body(())
        .unwrap();
    for layer in [
        PropagationLayer::new().with_propagator(ours),
        PropagationLayer::new().with_propagator(foreign()),
    ] {
        for cx in [Context::new(), Context::new().with_baggage([KeyValue::new("tenant", "acme")])] {
            let _attached = cx.attach();
            for headers in received(&layer, &by_hand) {
                assert!(headers.is_empty(), "{headers:?}");
            }
        }
    }
}

#[test]
fn baggage_that_is_written_under_another_name_stays_at_home_too() {
    /// Writes all there is into a header of its own, as nobody else knows it.
    #[derive(Debug)]
    struct Theirs;

    impl TextMapPropagator for Theirs {
        fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
            for (key, (value, _)) in cx.baggage() {
                injector.set("x-theirs", format!("{key}={value}"));
            }
        }

        fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
            cx.clone()
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&[])
        }
    }

    let layers = Layers::new().with(|| Theirs);
    let request = Request::get("http://inventory/").body(()).unwrap();
    assert_eq!(layers.lines(&request, ["x-theirs"]), [0]);
    let allowed = layers.baggage_to(&PropagationTargets::everywhere());
    assert_eq!(allowed.lines(&request, ["x-theirs"]), [1]);
}

#[test]
fn two_layers_are_one_span_also_where_there_is_baggage_that_stays_at_home() {
    let layers = Layers::new();
    let _attached = Context::current_with_baggage([KeyValue::new("tenant", "acme")]).attach();
    let far = FarSide::default();
    let mut service = layers.client.layer(layers.client.layer(far.clone()));
    tokio_test::block_on(tower::Service::call(&mut service, used("http://inventory/"))).unwrap();
    assert_eq!(layers.recorder.spans().len(), 1);
}
