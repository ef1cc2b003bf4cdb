//! Traces as trees on a terminal.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
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
    for (console, width) in [(None, 100), (Some(60), 60), (Some(1), 40)] {
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
        assert!(text.lines().count() >= 300);
        for line in text.lines() {
            assert!(line.width() <= width, "{} columns: {line}", line.width());
            let plain = |char: char| !char.is_control() && char != '\u{202e}';
            assert!(line.chars().all(plain), "{line:?}");
        }
    }
}

#[test]
fn a_closed_output_hurts_nobody() {
    struct Closed(Arc<Mutex<u32>>);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += 1;
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let tries = Arc::new(Mutex::new(0));
    let console = ConsoleExporter::new(Closed(Arc::clone(&tries)));
    let (telemetry, tracer) = telemetry("shop", &console);
    for _ in 0..3 {
        end(&start(&tracer, &Context::new(), "span", 0), 1);
    }
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    assert_eq!(*tries.lock().unwrap(), 1);
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
