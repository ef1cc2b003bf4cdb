//! The service: one route below a `TraceLayer`, with one processor or the other.

use std::{
    error::Error,
    fmt,
    fs::read_to_string,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Path, routing::get};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::{net::TcpListener, runtime::Builder};
use tower_telemetry::{Telemetry, TraceLayer, sdk::export::Otlp};

use crate::process::{closed, say};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Processor {
    Ours,
    Sdk,
}

/// What the service says when it ends.
#[derive(Clone, Copy)]
pub(crate) struct Served {
    pub(crate) ended: u64,
    pub(crate) cpu_micros: f64,
    pub(crate) peak_megabytes: f64,
}

pub(crate) fn run(processor: Processor, endpoint: &str) -> Result<(), Box<dyn Error>> {
    // The same layer over the same SDK: what differs is what is behind it.
    let (provider, telemetry) = match processor {
        Processor::Ours => {
            let telemetry = Telemetry::builder()
                .with_environment([("", ""); 0])
                .with_service_name("load")
                .with_otlp(Otlp::new().with_endpoint(endpoint))
                .build()?;
            (telemetry.tracer_provider().clone(), Some(telemetry))
        }
        Processor::Sdk => {
            let exporter = SpanExporter::builder()
                .with_http()
                .with_endpoint(format!("{endpoint}/v1/traces"))
                .build()?;
            let resource = Resource::builder_empty().with_service_name("load").build();
            let provider = SdkTracerProvider::builder()
                .with_resource(resource)
                .with_batch_exporter(exporter)
                .build();
            (provider, None)
        }
    };
    let served = Arc::new(AtomicU64::new(0));
    let serves = Arc::clone(&served);
    let handler = move |Path(id): Path<String>| {
        serves.fetch_add(1, Ordering::Relaxed);
        async move { id }
    };
    let app = Router::new()
        .route("/items/{id}", get(handler))
        .layer(TraceLayer::new().with_tracer_provider(&provider));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(listener.local_addr()?)?;
        tokio::select! {
            served = axum::serve(listener, app) => served,
            () = closed() => Ok(()),
        }
    })?;
    // What is on its way may be too late for either; it is not the end that is measured.
    match telemetry {
        Some(telemetry) => drop(telemetry.shutdown(Duration::from_secs(10))),
        None => drop(provider.shutdown_with_timeout(Duration::from_secs(10))),
    }
    say(Served {
        ended: served.load(Ordering::Relaxed),
        cpu_micros: cpu_micros()?,
        peak_megabytes: peak_megabytes()?,
    })?;
    Ok(())
}

/// User and system time, which Linux counts in hundredths of a second.
fn cpu_micros() -> Result<f64, Box<dyn Error>> {
    let stat = read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let ticks = |at| fields.split_whitespace().nth(at).and_then(|ticks| ticks.parse::<f64>().ok());
    Ok((ticks(11).ok_or("no utime")? + ticks(12).ok_or("no stime")?) * 10_000.0)
}

/// The most memory that was resident.
fn peak_megabytes() -> Result<f64, Box<dyn Error>> {
    let status = read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    let kilobytes = line.split_whitespace().nth(1).ok_or("no VmHWM")?.parse::<f64>()?;
    Ok(kilobytes / 1024.0)
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Ours { "ours" } else { "sdk" })
    }
}

impl FromStr for Processor {
    type Err = Box<dyn Error>;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "ours" => Ok(Self::Ours),
            "sdk" => Ok(Self::Sdk),
            _ => Err("no such processor".into()),
        }
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.ended, self.cpu_micros, self.peak_megabytes)
    }
}

impl FromStr for Served {
    type Err = Box<dyn Error>;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let [ended, cpu, peak] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not what a service says: {line}").into());
        };
        Ok(Self { ended: ended.parse()?, cpu_micros: cpu.parse()?, peak_megabytes: peak.parse()? })
    }
}
