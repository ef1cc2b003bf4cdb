//! The ids of spans in log lines: every formatter's, and of the span that is current.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{self, Write},
    sync::{Arc, OnceLock},
};

use futures_util::future::join;
use http::{Request, Response};
use opentelemetry::{
    Context,
    trace::{FutureExt, TraceContextExt, TracerProvider},
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData};
use serde_json::{Map, Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::yield_now,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_telemetry::{
    Providers, TraceIds, TraceLayer,
    logs::{TraceIdNames, WithTraceIds},
    propagation::TraceContext,
    server::Verdict,
};
use tracing::{
    Dispatch, Instrument, Level, Subscriber, debug, dispatcher, error, info, info_span, instrument,
    subscriber::{DefaultGuard, set_default},
};
use tracing_subscriber::{
    Layer as _, Registry,
    fmt::{
        MakeWriter,
        format::{Format, JsonFields},
        writer::MakeWriterExt,
    },
    layer::SubscriberExt,
};

use crate::support::{client, recorder::Recorder};

#[path = "../../examples/logs_with_ids.rs"]
#[allow(dead_code, unreachable_pub)]
mod example;

/// A log that has what was written in one piece in one piece, as a channel to a thread has.
#[derive(Clone, Debug)]
struct Log(UnboundedSender<String>);

#[derive(Debug)]
struct Lines(UnboundedReceiver<String>);

fn log() -> (Log, Lines) {
    let (log, lines) = mpsc::unbounded_channel();
    (Log(log), Lines(lines))
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8(text.to_vec()).unwrap());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// What is there.
    fn all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }

    fn one(&mut self) -> String {
        let mut lines = self.all();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    fn json(&mut self) -> Vec<Map<String, Value>> {
        self.all().iter().map(|line| parse(line)).collect()
    }
}

/// A line of JSON. A name may be in there once, which a parser would not notice.
fn parse(line: &str) -> Map<String, Value> {
    assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
    let parsed: Map<String, Value> = serde_json::from_str(line).unwrap();
    let written = serde_json::to_string(&parsed).unwrap();
    assert_eq!(written.len(), line.trim_end().len(), "a name is there twice: {line}");
    parsed
}

/// The three that are to be in a line of JSON, or not.
fn ids(line: &Map<String, Value>) -> [Option<&str>; 3] {
    ["trace_id", "span_id", "trace_flags"].map(|name| line.get(name).map(|id| id.as_str().unwrap()))
}

fn message(line: &Map<String, Value>) -> &str {
    line["fields"]["message"].as_str().unwrap()
}

/// What a line that is of this span has.
fn of(span: &SpanData) -> [Option<String>; 3] {
    let cx = &span.span_context;
    [
        Some(cx.trace_id().to_string()),
        Some(cx.span_id().to_string()),
        Some(format!("{:02x}", cx.trace_flags().to_u8())),
    ]
}

fn assert_of(line: &Map<String, Value>, span: &SpanData) {
    assert_eq!(ids(line).map(|id| id.map(str::to_owned)), of(span), "{line:?}");
}

fn json(log: &Log) -> DefaultGuard {
    set_default(
        tracing_subscriber::fmt().json().with_writer(WithTraceIds::new(log.clone())).finish(),
    )
}

/// A span of a tracer, current while this runs; gives its ids.
fn in_span(run: impl FnOnce()) -> TraceIds {
    let provider = SdkTracerProvider::default();
    let span = opentelemetry::trace::Tracer::start(&provider.tracer("test"), "test");
    let _current = Context::new().with_span(span).attach();
    run();
    TraceIds::current().unwrap()
}

fn said<const N: usize>(ids: &TraceIds, before: [(&str, Value); N]) -> Value {
    let mut line: Map<_, _> =
        before.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    for (name, id) in [
        ("trace_id", ids.trace_id()),
        ("span_id", ids.span_id()),
        ("trace_flags", ids.trace_flags()),
    ] {
        line.insert(name.to_owned(), id.into());
    }
    line.into()
}

#[tokio::test]
async fn the_examples_lines_are_json_and_have_the_ids_of_the_spans_that_are_exported() {
    let (log, mut lines) = log();
    let _subscribed = set_default(example::subscriber(log));
    let (recorder, mut spans) = Recorder::telling();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = example::app(&recorder);
    tokio::spawn(async move { axum::serve(listener, app).await });

    info!("open");
    let open = parse(&lines.0.recv().await.unwrap());
    assert_eq!((message(&open), ids(&open)), ("open", [None; 3]));

    for (id, packed) in [(42, "packed"), (7, "out of stock")] {
        let url = format!("http://{address}/orders/{id}");
        let answer = client::local().post(url).send().await.unwrap().text().await.unwrap();
        let span = spans.recv().await.unwrap();
        for expected in ["accepted", packed] {
            let line = parse(&lines.0.recv().await.unwrap());
            assert_eq!(message(&line), expected);
            assert_eq!(line["fields"]["order"], id);
            assert_of(&line, &span);
        }
        let reference = span.span_context.trace_id();
        assert_eq!(answer, format!("order {id}, reference {reference}\n"));
    }
    assert_eq!(lines.all(), [""; 0]);
}

#[tokio::test]
async fn a_line_has_the_ids_of_the_innermost_span_and_a_task_those_it_was_given() {
    let (log, mut lines) = log();
    let _subscribed = json(&log);
    let recorder = Recorder::new();
    let client = recorder.client_layer().layer(service_fn(async |_: Request<()>| {
        info!("inside of a client");
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let service = recorder.layer().layer(service_fn(move |_: Request<()>| {
        let client = client.clone();
        async move {
            info!("in a handler");
            yield_now().await;
            let request = Request::get("http://inventory/").body(()).unwrap();
            client.oneshot(request).await?;
            let task = async { info!("in a task") };
            tokio::spawn(task.with_context(Context::current())).await.unwrap();
            tokio::spawn(async { info!("in a task without a Context") }).await.unwrap();
            info!("in the handler again");
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    }));
    info!("before");
    drop(service.oneshot(Request::new(())).await.unwrap());
    info!("after");

    let lines = lines.json();
    let [server] = &recorder.servers()[..] else { panic!("one request") };
    let [client] = &recorder.clients()[..] else { panic!("one request") };
    let whose = BTreeMap::from([
        ("in a handler", server),
        ("inside of a client", client),
        ("in a task", server),
        ("in the handler again", server),
    ]);
    assert_eq!(lines.len(), 7);
    for line in &lines {
        match whose.get(message(line)) {
            Some(span) => assert_of(line, span),
            None => assert_eq!(ids(line), [None; 3], "{line:?}"),
        }
    }
}

#[tokio::test]
async fn requests_that_interleave_have_each_their_own() {
    let (log, mut lines) = log();
    let _subscribed = json(&log);
    let (recorder, mut spans) = Recorder::telling();
    let handler = async |request: Request<()>| {
        for step in 0..3 {
            info!(step, path = request.uri().path(), "step");
            yield_now().await;
        }
        Ok::<_, Infallible>(Response::new(String::new()))
    };
    let service = recorder.layer().layer(service_fn(handler));
    let ask = async |path| {
        let request = Request::get(path).body(()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
    };
    join(ask("/left"), ask("/right")).await;

    let mut of_path = BTreeMap::new();
    for span in [spans.recv().await.unwrap(), spans.recv().await.unwrap()] {
        of_path.insert(crate::support::recorder::attribute(&span, "url.path").unwrap(), span);
    }
    let lines = lines.json();
    let order: Vec<_> = lines.iter().map(|line| line["fields"]["path"].as_str().unwrap()).collect();
    assert_eq!(order, ["/left", "/right"].repeat(3));
    for line in &lines {
        assert_of(line, &of_path[line["fields"]["path"].as_str().unwrap()]);
    }
}

#[tokio::test]
async fn a_span_that_is_not_sampled_has_ids_and_says_so() {
    let (log, mut lines) = log();
    let _subscribed = json(&log);
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let layer = TraceLayer::new().with_telemetry(
        Providers::global().with_tracer_provider(&provider).with_propagator(TraceContext::new()),
    );
    let service = layer.layer(service_fn(async |_: Request<()>| {
        info!("found");
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let mut request = Request::new(());
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", caller.parse().unwrap());
    drop(service.oneshot(request).await.unwrap());

    let lines = lines.json();
    let [trace_id, span_id, flags] = ids(&lines[0]);
    assert_eq!((trace_id, flags), (Some("0af7651916cd43dd8448eb211c80319c"), Some("00")));
    assert_ne!(span_id, Some("b7ad6b7169203331"));
    assert_eq!(span_id.unwrap().len(), 16);
}

#[tokio::test]
async fn where_a_filter_makes_no_span_a_line_is_the_callers_or_nobodys() {
    let (log, mut lines) = log();
    let _subscribed = json(&log);
    let recorder = Recorder::new();
    let layer = recorder.layer().with_filter(|_| Verdict::all().without_span());
    let service = layer.layer(service_fn(async |_: Request<()>| {
        info!("found");
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let mut request = Request::new(());
    drop(service.clone().oneshot(request.clone()).await.unwrap());
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", caller.parse().unwrap());
    drop(service.oneshot(request).await.unwrap());

    let lines = lines.json();
    assert_eq!(ids(&lines[0]), [None; 3]);
    let callers = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01"];
    assert_eq!(ids(&lines[1]), callers.map(Some));
}

fn of_tracing<W>(recorder: &Recorder, activation: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let spans = tracing_opentelemetry::layer()
        .with_tracer(recorder.provider.tracer("tracing"))
        .with_context_activation(activation);
    let lines = tracing_subscriber::fmt::layer().json().with_writer(writer);
    // As it was before there were ids, and in either order.
    Registry::default().with(lines).with(spans)
}

#[instrument]
async fn handler() {
    info!("handler");
    yield_now().await;
    async { info!("nested") }.instrument(info_span!("nested")).await;
    tokio::spawn(async { info!("task") }.in_current_span()).await.unwrap();
    info!("handler");
}

/// Lines in spans of `tracing`, below a server's span; their messages are the spans' names.
async fn logged_below_a_server_span(recorder: &Recorder) {
    let service = recorder.layer().layer(service_fn(async |_: Request<()>| {
        info!("GET");
        handler().await;
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    drop(service.oneshot(Request::new(())).await.unwrap());
}

/// The span of that name; a task's is the handler's.
fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let name = if name == "task" { "handler" } else { name };
    spans.iter().find(|span| span.name == name).expect(name)
}

#[tokio::test]
async fn under_tracing_opentelemetry_a_line_has_the_ids_of_tracings_span() {
    let (log, mut lines) = log();
    let recorder = Recorder::new();
    let _subscribed = set_default(of_tracing(&recorder, true, WithTraceIds::new(log)));
    logged_below_a_server_span(&recorder).await;
    let lines = lines.json();
    let messages: Vec<_> = lines.iter().map(message).collect();
    assert_eq!(messages, ["GET", "handler", "nested", "task", "handler"]);
    let spans = recorder.spans();
    for line in &lines {
        assert_of(line, named(&spans, message(line)));
    }
}

#[tokio::test]
async fn without_context_activation_a_line_has_the_ids_of_the_span_around_or_what_a_function_says()
{
    // Nobody has told OpenTelemetry's Context of them.
    let (log, mut lines) = log();
    let recorder = Recorder::new();
    let subscribed = set_default(of_tracing(&recorder, false, WithTraceIds::new(log.clone())));
    logged_below_a_server_span(&recorder).await;
    info_span!("alone").in_scope(|| info!("alone"));
    drop(subscribed);
    let all = lines.json();
    assert_eq!(all.len(), 6);
    for line in &all {
        match message(line) {
            // Its own thread of execution, and none of OpenTelemetry's.
            "task" | "alone" => assert_eq!(ids(line), [None; 3]),
            _ => assert_of(line, named(&recorder.spans(), "GET")),
        }
    }

    // What is asked of the subscriber.
    let recorder = Recorder::new();
    let subscriber = Arc::new(OnceLock::<dispatcher::WeakDispatch>::new());
    let asked = Arc::clone(&subscriber);
    let writer = WithTraceIds::new(log).with_ids_from(move || {
        let subscriber = asked.get()?.upgrade()?;
        let span = subscriber.current_span();
        TraceIds::of(&tracing_opentelemetry::get_otel_context(span.id()?, &subscriber)?)
    });
    let built = Dispatch::new(of_tracing(&recorder, false, writer));
    subscriber.set(built.downgrade()).unwrap();
    let _subscribed = dispatcher::set_default(&built);
    logged_below_a_server_span(&recorder).await;
    info_span!("alone").in_scope(|| info!("alone"));
    info!("nobody");
    let spans = recorder.spans();
    let all = lines.json();
    assert_eq!(all.len(), 7);
    for line in &all {
        match message(line) {
            "nobody" => assert_eq!(ids(line), [None; 3]),
            name => assert_of(line, named(&spans, name)),
        }
    }
}

#[test]
fn the_ids_are_those_of_the_innermost_span_while_it_is_current() {
    assert_eq!(TraceIds::current(), None);
    let mut inner = None;
    let outer = in_span(|| inner = Some(in_span(|| {})));
    assert_eq!(TraceIds::current(), None);
    assert_ne!(inner, Some(outer));

    let span = in_span(|| assert_eq!(TraceIds::current(), TraceIds::of(&Context::current())));
    let [trace_id, span_id, flags] = [span.trace_id(), span.span_id(), span.trace_flags()];
    assert_eq!((trace_id.len(), span_id.len(), flags, span.is_sampled()), (32, 16, "01", true));
}

#[test]
fn a_function_that_panics_has_no_ids_and_the_current_span_has() {
    let (log, mut lines) = log();
    let writer = WithTraceIds::new(log).with_ids_from(|| panic!("no idea"));
    let _subscribed = set_default(tracing_subscriber::fmt().json().with_writer(writer).finish());
    let current = in_span(|| info!("found"));
    let lines = lines.json();
    let expected = [current.trace_id(), current.span_id(), current.trace_flags()];
    assert_eq!(ids(&lines[0]), expected.map(Some));
}

#[test]
fn a_function_may_log_itself_and_is_not_asked_for_the_ids_of_that() {
    let (log, mut lines) = log();
    let lines_of = Arc::new(OnceLock::<WithTraceIds<Log>>::new());
    let asked = Arc::clone(&lines_of);
    let maker = WithTraceIds::new(log).with_ids_from(move || {
        asked.get()?.make_writer().write_all(b"asked\n").ok()?;
        None
    });
    let maker = lines_of.get_or_init(|| maker);
    let write = || maker.make_writer().write_all(b"a\n").unwrap();
    let current = in_span(|| (0..2).for_each(|_| write()));
    let twice = [format!("asked {current}\n"), format!("a {current}\n")];
    assert_eq!(lines.all(), [twice.clone(), twice].concat());
}

#[test]
fn an_object_has_them_as_members_of_its_own_however_it_is_laid_out() {
    let (log, mut lines) = log();
    let writer = WithTraceIds::new(log);
    let format = || Format::default().json().with_level(false).with_target(false).without_time();

    // Fields beside the line's own.
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(format().flatten_event(true))
        .with_writer(writer.clone());
    let current = {
        let _subscribed = set_default(Registry::default().with(layer));
        in_span(|| {
            let _span = info_span!("order", id = 7, trace_id = "of the span").entered();
            info!(value = "a\n\"b\" }", "found");
        })
    };
    let span = json!({"id": 7, "name": "order", "trace_id": "of the span"});
    let expected = said(
        &current,
        [
            ("message", "found".into()),
            ("value", "a\n\"b\" }".into()),
            ("span", span.clone()),
            ("spans", json!([span])),
        ],
    );
    assert_eq!(Value::from(parse(&lines.one())), expected);

    // As few of them as can be.
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(format().with_current_span(false).with_span_list(false).flatten_event(true))
        .with_writer(writer);
    let _subscribed = set_default(Registry::default().with(layer));
    let current = in_span(|| info!(nothing = tracing::field::Empty));
    assert_eq!(Value::from(parse(&lines.one())), said(&current, []));
}

#[test]
fn a_field_of_the_same_name_is_kept_and_is_there_once() {
    let (log, mut lines) = log();
    let writer = WithTraceIds::new(log);

    // Among the event's fields it is not in the way.
    let current = {
        let subscriber = tracing_subscriber::fmt().json().with_writer(writer.clone()).finish();
        let _subscribed = set_default(subscriber);
        in_span(|| info!(trace_id = "mine", "found"))
    };
    let line = parse(&lines.one());
    assert_eq!(line["fields"]["trace_id"], "mine");
    assert_eq!(line["trace_id"], current.trace_id());

    // Where it is, no other comes beside it.
    {
        let format = tracing_subscriber::fmt().json().flatten_event(true);
        let _subscribed = set_default(format.with_writer(writer.clone()).finish());
        in_span(|| info!(trace_id = "mine", "found"));
    }
    assert_eq!(ids(&parse(&lines.one())), [Some("mine"), None, None]);

    let format = tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false);
    let _subscribed = set_default(format.with_writer(writer).finish());
    in_span(|| info!(span_id = 5, "found"));
    assert_eq!(lines.one(), " INFO found span_id=5\n");
}

#[test]
fn a_line_of_text_has_them_at_its_end_in_each_format() {
    let (log, mut lines) = log();
    let writer = WithTraceIds::new(log);
    let mut line = |subscriber: Dispatch| {
        let _subscribed = dispatcher::set_default(&subscriber);
        let current = in_span(|| {
            let _span = info_span!("order", id = 7).entered();
            info!(item = 42, "found\nit");
        });
        (lines.one(), current.to_string())
    };
    let fmt = || tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false);

    let (full, ids) = line(fmt().with_writer(writer.clone()).finish().into());
    assert_eq!(full, format!(" INFO order{{id=7}}: found\nit item=42 {ids}\n"));

    let (compact, ids) = line(fmt().compact().with_writer(writer.clone()).finish().into());
    assert_eq!(compact, format!(" INFO order: found\nit item=42 id=7 {ids}\n"));

    let pretty = fmt()
        .pretty()
        .with_file(false)
        .with_line_number(false)
        .with_writer(writer.clone())
        .finish();
    let (pretty, ids) = line(pretty.into());
    assert_eq!(
        pretty,
        format!("   INFO  found\nit, item: 42\n    in order with id: 7\n    {ids}\n\n")
    );

    // In colours, which the ids have none of.
    let colours = fmt().with_ansi(true).with_writer(writer.clone()).finish();
    let (colours, ids) = line(colours.into());
    assert!(colours.starts_with("\u{1b}[32m INFO\u{1b}[0m "), "{colours:?}");
    assert!(colours.ends_with(&format!("\u{1b}[2m=\u{1b}[0m42 {ids}\n")), "{colours:?}");

    // Under other names, and without one.
    let names = TraceIdNames::new("trace.id", "span.id").unwrap();
    let other = fmt().with_writer(writer.with_names(names)).finish();
    let (other, ids) = line(other.into());
    let ids = ids.replace("_id=", ".id=").replace(" trace_flags=01", "");
    assert_eq!(other, format!(" INFO order{{id=7}}: found\nit item=42 {ids}\n"));
}

#[test]
fn a_message_that_looks_like_json_stays_whole() {
    let (log, mut lines) = log();
    let format = tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .with_level(false)
        .with_writer(WithTraceIds::new(log));
    let _subscribed = set_default(format.finish());
    for message in ["{oops}", "{\"a\":1} and more", "{\"a\":", "{", "{\"trace_id\":1"] {
        let current = in_span(|| info!("{message}"));
        assert_eq!(lines.one(), format!("{message} {current}\n"));
    }
}

#[test]
fn what_is_filtered_is_not_written_and_several_writers_have_the_same() {
    let (one, mut lines) = log();
    let (other, mut others) = log();
    let writer = one.with_max_level(Level::INFO).and(other);
    let lines_of = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(WithTraceIds::new(writer))
        .with_filter(tracing_subscriber::filter::LevelFilter::DEBUG);
    let _subscribed = set_default(Registry::default().with(lines_of));
    in_span(|| {
        debug!("a detail");
        error!("broken");
    });
    let (lines, others) = (lines.json(), others.json());
    assert_eq!(lines.iter().map(message).collect::<Vec<_>>(), ["broken"]);
    assert_eq!(others.iter().map(message).collect::<Vec<_>>(), ["a detail", "broken"]);
    assert_eq!(lines[0], others[1]);
    assert_ne!(ids(&lines[0]), [None; 3]);
}

#[test]
fn a_line_that_comes_in_pieces_goes_on_in_one() {
    let (log, mut lines) = log();
    let maker = WithTraceIds::new(log);
    let current = in_span(|| {
        let mut writer = maker.make_writer();
        writer.write_all(b"{\"a\":").unwrap();
        writer.write_all(b"1}\n").unwrap();
        writer.write_all(b"flushed").unwrap();
        writer.flush().unwrap();
        writer.write_all(b"let go of").unwrap();
    });
    let all = lines.all();
    assert_eq!(Value::from(parse(&all[0])), said(&current, [("a", 1.into())]));
    assert_eq!(all[1..], [format!("flushed {current}"), format!("let go of {current}")]);

    // Without a span they are nobody's business.
    let mut writer = maker.make_writer();
    writer.write_all(b"{\"a\":").unwrap();
    writer.write_all(b"1}\n").unwrap();
    assert_eq!(lines.all(), ["{\"a\":", "1}\n"]);
}

#[test]
fn a_writer_that_fails_says_so() {
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let maker = WithTraceIds::new(|| Full);
    in_span(|| {
        let error = maker.make_writer().write_all(b"a\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    });
}

#[test]
fn a_writer_may_log_itself() {
    #[derive(Clone)]
    struct Chatty(Log);

    impl Write for Chatty {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let mut inner = WithTraceIds::new(self.0.clone());
            let inner = &mut inner;
            inner.make_writer().write_all(b"writing\n")?;
            self.0.write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let (log, mut lines) = log();
    let maker = WithTraceIds::new(move || Chatty(log.clone()));
    let current = in_span(|| maker.make_writer().write_all(b"a\n").unwrap());
    assert_eq!(lines.all(), [format!("writing {current}\n"), format!("a {current}\n")]);
}
