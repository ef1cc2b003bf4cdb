//! Traces as trees on a terminal.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{
        Link, Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags,
        TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tower_telemetry::{Telemetry, sdk::export::ConsoleExporter};
use unicode_width::UnicodeWidthStr;

/// What was printed.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The text with the trace ids taken out, which differ each time.
    fn anonymous(&self) -> String {
        let id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut text = self.text();
        for word in self.text().split_whitespace().filter(|word| id(word)) {
            text = text.replace(word, "ID");
        }
        text
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output that does this when it is written to.
struct Output<F>(F);

impl<F: FnMut(&[u8]) -> io::Result<usize>> Write for Output<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn telemetry(service: &'static str, console: &ConsoleExporter) -> (Telemetry, SdkTracer) {
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_service_name(service)
        .with_console(console.clone())
        .build()
        .unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    (telemetry, tracer)
}

/// So many microseconds after a moment of the past.
fn at(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_000 + micros)
}

fn start(tracer: &SdkTracer, parent_cx: &Context, name: &'static str, micros: u64) -> Context {
    let builder = SpanBuilder::from_name(name).with_start_time(at(micros));
    parent_cx.with_span(tracer.build_with_context(builder, parent_cx))
}

fn end(cx: &Context, micros: u64) {
    cx.span().end_with_timestamp(at(micros));
}

#[test]
fn a_trace_across_services_is_one_tree_printed_when_its_last_span_has_ended() {
    let screen = Screen::default();
    let console = ConsoleExporter::new(screen.clone());
    let (gateway, gateway_tracer) = telemetry("gateway", &console);
    let (inventory, inventory_tracer) = telemetry("inventory", &console);

    let builder = SpanBuilder::from_name("GET /items/{id}")
        .with_kind(SpanKind::Server)
        .with_start_time(at(0))
        .with_attributes([
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.route", "/items/{id}"),
            KeyValue::new("url.path", "/items/42"),
            KeyValue::new("custom", "kept"),
        ]);
    let none = Context::new();
    let root = none.with_span(gateway_tracer.build_with_context(builder, &none));
    let first = start(&gateway_tracer, &root, "look up", 100);
    let remote = Context::new().with_remote_span_context(first.span().span_context().clone());
    let stock = start(&inventory_tracer, &remote, "GET /stock/{id}", 200);
    stock.span().set_status(Status::error("out of stock"));
    stock.span().add_event("looked", vec![KeyValue::new("shelf", 3)]);
    end(&stock, 900);
    end(&first, 1_000);
    let second = start(&gateway_tracer, &root, "answer", 1_500);
    end(&second, 1_501);
    root.span().set_attribute(KeyValue::new("http.response.status_code", 200));
    assert_eq!(screen.text(), "");
    end(&root, 2_400);

    let tree = "\
trace ID  4 spans  2.40 ms
└ gateway  GET /items/{id}                                                server      2.40 ms  unset
  │   http.response.status_code=200  url.path=/items/42  custom=kept
  ├ gateway  look up                                                      internal     900 µs  unset
  │ └ inventory  GET /stock/{id}                                          internal     700 µs  error
  │       status=out of stock
  │       * looked  shelf=3
  └ gateway  answer                                                       internal       1 µs  unset

";
    assert_eq!(screen.anonymous(), tree);
    for telemetry in [gateway, inventory] {
        telemetry.shutdown(Duration::from_secs(5)).unwrap();
    }
    assert_eq!(screen.anonymous(), tree);
}

#[test]
fn links_say_to_which_span_they_lead() {
    let screen = Screen::default();
    let (telemetry, tracer) = telemetry("shop", &ConsoleExporter::new(screen.clone()));
    let linked = SpanContext::new(
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736.into(),
        0x00f0_67aa_0ba9_02b7.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let builder = SpanBuilder::from_name("job")
        .with_start_time(at(0))
        .with_attributes([KeyValue::new("custom", "kept")])
        .with_links(vec![
            Link::new(linked.clone(), vec![KeyValue::new("why", "retried")], 0),
            Link::with_context(linked),
        ]);
    let none = Context::new();
    let cx = none.with_span(tracer.build_with_context(builder, &none));
    cx.span().add_event("begun", Vec::new());
    end(&cx, 1);
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    let text = screen.text();
    let lines: Vec<&str> = text.lines().skip(2).map(str::trim_start).collect();
    assert_eq!(
        lines,
        [
            "custom=kept",
            "→ trace 4bf92f3577b34da6a3ce929d0e0e4736  span 00f067aa0ba902b7  why=retried",
            "→ trace 4bf92f3577b34da6a3ce929d0e0e4736  span 00f067aa0ba902b7",
            "* begun",
            "",
        ]
    );
}

#[test]
fn all_attributes_are_shown_if_asked_for() {
    let attributes = [
        KeyValue::new("client.address", "192.0.2.1"),
        KeyValue::new("custom", "kept"),
        KeyValue::new("url.path", "/items/42"),
    ];
    let shown = |console: fn(ConsoleExporter) -> ConsoleExporter| {
        let screen = Screen::default();
        let exporter = ConsoleExporter::new(screen.clone());
        // A clone was given away before.
        let (telemetry, tracer) = telemetry("shop", &exporter);
        drop(console(exporter));
        let cx = start(&tracer, &Context::new(), "span", 0);
        cx.span().set_attributes(attributes.clone());
        end(&cx, 1);
        telemetry.shutdown(Duration::from_secs(5)).unwrap();
        screen.text().lines().nth(2).unwrap().trim_start().to_owned()
    };
    assert_eq!(shown(|console| console), "url.path=/items/42  custom=kept");
    assert_eq!(
        shown(ConsoleExporter::with_all_attributes),
        "url.path=/items/42  client.address=192.0.2.1  custom=kept"
    );
}

#[test]
fn a_span_that_never_ends_does_not_keep_the_others_from_being_shown() {
    let screen = Screen::default();
    let (telemetry, tracer) = telemetry("shop", &ConsoleExporter::new(screen.clone()));
    let root = start(&tracer, &Context::new(), "root", 0);
    end(&start(&tracer, &root, "child", 1), 2);
    assert_eq!(screen.text(), "");
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    assert!(screen.text().contains("└ shop  child"), "{}", screen.text());
}

#[test]
fn a_flood_of_open_traces_is_bounded_and_every_span_is_shown() {
    let screen = Screen::default();
    let (telemetry, tracer) = telemetry("shop", &ConsoleExporter::new(screen.clone()));
    let open: Vec<Context> =
        (0..1_000).map(|_| start(&tracer, &Context::new(), "open", 0)).collect();
    let long = start(&tracer, &Context::new(), "long", 0);
    for _ in 0..1_000 {
        end(&start(&tracer, &long, "child", 0), 1);
    }
    assert!(screen.text().contains("512 spans"));
    for cx in &open {
        end(cx, 1);
    }
    end(&long, 1);
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    let text = screen.text();
    assert_eq!(text.matches("shop  open").count(), 1_000);
    assert_eq!(text.matches("shop  child").count(), 1_000);
    assert_eq!(text.matches("shop  long").count(), 1);
}

#[test]
fn no_line_is_wider_than_the_screen_and_nothing_commands_the_terminal() {
    for (console, width) in [(None, 100), (Some(60), 60), (Some(1), 40), (Some(usize::MAX), 1000)] {
        let screen = Screen::default();
        let exporter = ConsoleExporter::new(screen.clone());
        let exporter = match console {
            Some(columns) => exporter.with_width(columns),
            None => exporter,
        };
        let (telemetry, tracer) = telemetry("shop", &exporter);
        let mut cx = Context::new();
        let mut open = Vec::new();
        for _ in 0..100 {
            cx = start(&tracer, &cx, "名前 very long name of a span, \u{202e}turned\u{1b}[2J", 0);
            cx.span().set_attribute(KeyValue::new("url.path", "/\u{1b}[31m\r\n\t".to_owned()));
            cx.span().set_attribute(KeyValue::new("long", "値".repeat(300)));
            open.push(cx.clone());
        }
        for cx in open.iter().rev() {
            end(cx, 1);
        }
        telemetry.shutdown(Duration::from_secs(5)).unwrap();
        let text = screen.text();
        assert!(text.lines().count() >= 200);
        for line in text.lines() {
            assert!(line.width() <= width, "{} columns: {line}", line.width());
            let plain = |char: char| !char.is_control() && char != '\u{202e}';
            assert!(line.chars().all(plain), "{line:?}");
        }
    }
}

/// How often an output that does this is written to, while three traces are printed.
fn tries(fails: impl Fn() -> io::Result<usize> + Send + 'static) -> u32 {
    let tries = Arc::new(AtomicU32::new(0));
    let tried = Arc::clone(&tries);
    let console = ConsoleExporter::new(Output(move |_: &[u8]| {
        tried.fetch_add(1, Ordering::Relaxed);
        fails()
    }));
    let (telemetry, tracer) = telemetry("shop", &console);
    for _ in 0..3 {
        end(&start(&tracer, &Context::new(), "span", 0), 1);
    }
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    tries.load(Ordering::Relaxed)
}

#[test]
fn an_output_that_is_closed_or_panics_hurts_nobody_and_is_left_alone() {
    assert_eq!(tries(|| Err(io::ErrorKind::BrokenPipe.into())), 1);
    assert_eq!(tries(|| panic!("the output panics, as it was told to")), 1);
}

#[test]
fn an_output_that_cannot_take_more_for_now_is_tried_again() {
    // Once for each trace, and not in between: it would be asked for ever.
    for kind in
        [io::ErrorKind::WouldBlock, io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]
    {
        assert_eq!(tries(move || Err(kind.into())), 3, "{kind}");
    }
}

#[test]
fn an_output_that_makes_spans_of_its_own_is_no_deadlock_and_no_endless_loop() {
    let screen = Screen::default();
    let writers = Arc::new(Mutex::new(None::<SdkTracer>));
    let (mut to, of) = (screen.clone(), Arc::clone(&writers));
    let console = ConsoleExporter::new(Output(move |bytes: &[u8]| {
        if let Some(tracer) = of.lock().unwrap().clone() {
            end(&start(&tracer, &Context::new(), "writing", 0), 1);
        }
        to.write(bytes)
    }));
    let (telemetry, tracer) = telemetry("shop", &console);
    *writers.lock().unwrap() = Some(tracer.clone());
    end(&start(&tracer, &Context::new(), "outer", 0), 1);
    let text = screen.text();
    assert!(text.contains("shop  outer") && !text.contains("shop  writing"), "{text}");
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_slow_output_holds_up_the_one_that_writes_and_nobody_else() {
    let screen = Screen::default();
    let (entered, enters) = mpsc::channel();
    let (release, go) = mpsc::channel::<()>();
    let mut to = screen.clone();
    let console = ConsoleExporter::new(Output(move |bytes: &[u8]| {
        let _ = entered.send(());
        let _ = go.recv();
        to.write(bytes)
    }));
    let (telemetry, tracer) = telemetry("shop", &console);
    thread::scope(|scope| {
        let writes = scope.spawn(|| end(&start(&tracer, &Context::new(), "first", 0), 1));
        enters.recv().unwrap();
        // Some of these find the waiting text at its limit.
        for _ in 0..10_000 {
            end(&start(&tracer, &Context::new(), "meanwhile", 0), 1);
        }
        assert!(!writes.is_finished());
        assert_eq!(screen.text(), "");
        let error = telemetry.shutdown(Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("ConsoleExporter: not done within 100ms"), "{error}");
        drop(release);
    });
    let text = screen.text();
    let shown = text.matches("shop  meanwhile").count();
    let left_out = text.lines().find(|line| line.contains("more were left out")).unwrap();
    let left_out: usize =
        left_out.trim_start_matches('(').split(' ').next().unwrap().parse().unwrap();
    assert_eq!(shown + left_out, 10_000);
    assert!(shown > 1_000, "{shown}");
    assert!(text.starts_with("trace ") && text.contains("shop  first"));
}

#[test]
fn a_large_tree_is_printed_whole_and_so_is_all_that_is_left_at_the_end() {
    let screen = Screen::default();
    let (telemetry, tracer) = telemetry("shop", &ConsoleExporter::new(screen.clone()));
    let fill = |parent: &Context, count: usize| {
        for _ in 0..count {
            let cx = start(&tracer, parent, "child", 0);
            for number in 0..40 {
                cx.span().set_attribute(KeyValue::new(format!("key.{number}"), "x".repeat(80)));
            }
            end(&cx, 1);
        }
    };
    let one = start(&tracer, &Context::new(), "one", 0);
    fill(&one, 500);
    end(&one, 1);
    assert!(screen.text().len() > 1 << 20);
    assert_eq!(screen.text().matches("shop  child").count(), 500);

    let open: Vec<Context> = (0..10).map(|_| start(&tracer, &Context::new(), "open", 0)).collect();
    for cx in &open {
        fill(cx, 100);
    }
    telemetry.shutdown(Duration::from_secs(30)).unwrap();
    assert_eq!(screen.text().matches("shop  child").count(), 1_500);
}

#[test]
fn a_flush_waits_for_its_own_text_and_not_for_what_others_print() {
    let screen = Screen::default();
    let console = ConsoleExporter::new(screen.clone());
    let (telemetry, tracer) = telemetry("shop", &console);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    end(&start(&tracer, &Context::new(), "busy", 0), 1);
                }
            });
        }
        let flushed = telemetry.force_flush(Duration::from_secs(30));
        stop.store(true, Ordering::Relaxed);
        flushed.unwrap();
    });
}

#[test]
fn an_output_that_panics_when_it_is_let_go_of_hurts_nobody() {
    struct Bitter;

    impl Drop for Bitter {
        fn drop(&mut self) {
            panic!("the output panics, as it was told to");
        }
    }

    let bitter = Bitter;
    let console = ConsoleExporter::new(Output(move |_: &[u8]| {
        let _held = &bitter;
        Err(io::ErrorKind::BrokenPipe.into())
    }));
    let (telemetry, tracer) = telemetry("shop", &console);
    end(&start(&tracer, &Context::new(), "span", 0), 1);
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_flush_prints_what_has_ended() {
    let screen = Screen::default();
    let (telemetry, tracer) = telemetry("shop", &ConsoleExporter::new(screen.clone()));
    let root = start(&tracer, &Context::new(), "root", 0);
    end(&start(&tracer, &root, "child", 1), 2);
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    assert!(screen.text().contains("shop  child"));
    end(&root, 3);
    assert!(screen.text().contains("shop  root"));
    assert_eq!(screen.text().matches("shop  child").count(), 1);
}

#[test]
fn spans_that_are_each_others_parents_are_shown_all_the_same() {
    let screen = Screen::default();
    let provider = SdkTracerProvider::builder()
        .with_id_generator(SameIds)
        .with_batch_exporter(ConsoleExporter::new(screen.clone()))
        .build();
    let tracer = provider.tracer("test");
    // All have the same id, so each is its own parent.
    let root = start(&tracer, &Context::new(), "root", 0);
    end(&start(&tracer, &root, "child", 1), 2);
    end(&start(&tracer, &root, "other", 2), 3);
    provider.shutdown().unwrap();
    let text = screen.text();
    assert!(text.contains("2 spans"), "{text}");
    assert!(text.contains("child") && text.contains("other"), "{text}");
}

#[derive(Debug)]
struct SameIds;

impl opentelemetry_sdk::trace::IdGenerator for SameIds {
    fn new_trace_id(&self) -> opentelemetry::TraceId {
        1_u128.into()
    }

    fn new_span_id(&self) -> opentelemetry::SpanId {
        1_u64.into()
    }
}

#[test]
fn it_is_an_exporter_for_any_provider() {
    let screen = Screen::default();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(ConsoleExporter::new(screen.clone()))
        .build();
    let tracer = provider.tracer("test");
    let root = start(&tracer, &Context::new(), "root", 0);
    end(&start(&tracer, &root, "child", 1), 2);
    end(&root, 3);
    provider.shutdown().unwrap();
    let text = screen.text();
    assert!(text.contains("2 spans"), "{text}");
    assert!(text.contains("  root ") && text.contains("  └ "), "{text}");

    let screen = Screen::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(ConsoleExporter::new(screen.clone()))
        .build();
    drop(provider.tracer("test").start("alone"));
    assert!(screen.text().contains("alone"));
}

#[test]
fn what_is_not_sampled_is_not_shown() {
    let screen = Screen::default();
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_SAMPLER", "always_off")])
        .with_console(ConsoleExporter::new(screen.clone()))
        .build()
        .unwrap();
    let mut span = telemetry.tracer_provider().tracer("test").start("span");
    span.end();
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    assert_eq!(screen.text(), "");
}
