//! A service under load that exports: what it serves, and what becomes of its spans, with this
//! crate's batch processor and with the SDK's.
//!
//! ```text
//! cargo bench --bench load                 # all of it, some three minutes
//! cargo bench --bench load -- --seconds 2  # each case for two seconds
//! ```
//!
//! An axum service with a `TraceLayer`, a client that asks as fast as it is answered, and a
//! collector that answers after a delay, each a process of its own, over loopback. The SDK's
//! processor is set up as its documentation has it, with the OTLP exporter over HTTP. Rounds take
//! turns, and the medians are printed: to compare within one run, not with another machine's.

#![allow(clippy::print_stdout, reason = "it prints")]

mod client;
mod process;
mod service;
mod sink;

use std::{env, error::Error, time::Duration};

use process::Child;
use service::{Processor, Served};

/// What one round has shown.
#[derive(Clone, Copy)]
struct Round {
    load: client::Load,
    service: Served,
    received: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sink", delay] => sink::run(Duration::from_millis(delay.parse()?)),
        ["service", processor, endpoint] => service::run(processor.parse()?, endpoint),
        ["client", address, seconds, pace] => {
            client::run(address, Duration::from_secs(seconds.parse()?), pace.parse()?)
        }
        [] => compare(5, 3),
        ["--seconds", seconds] => compare(seconds.parse()?, 3),
        _ => Err("load [--seconds N]".into()),
    }
}

/// Prints a table, and fails if spans were lost that are not to be: at 25 ms under full load and at
/// 100 ms under half of that. The ratios are for people, since clocks are noisy.
fn compare(seconds: u64, rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut lost = Vec::new();
    println!(
        "{:<22} {:<9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>7} {:>7}",
        "collector, load",
        "processor",
        "req/s",
        "p50 µs",
        "p99 µs",
        "CPU µs",
        "ended",
        "received",
        "lost %",
        "MB"
    );
    for (delay, share) in [(0, 1.0), (5, 1.0), (25, 1.0), (100, 0.5)] {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        // As fast as it goes, to know what half of that is.
        let full =
            if share < 1.0 { round(Processor::Ours, delay, 2, 0)?.load.per_second } else { 0.0 };
        let pace = (full * share) as u64;
        for _ in 0..rounds {
            ours.push(round(Processor::Ours, delay, seconds, pace)?);
            theirs.push(round(Processor::Sdk, delay, seconds, pace)?);
        }
        let (ours, theirs) = (Medians::of(&ours), Medians::of(&theirs));
        let load = if pace == 0 { "full".to_owned() } else { format!("{pace}/s") };
        let case = format!("{delay} ms, {load}");
        ours.print(&case, "this");
        theirs.print(&case, "SDK's");
        if delay > 0 && ours.received < ours.ended {
            lost.push(case);
        }
        println!(
            "{:<22} {:<9} {:>8.3} {:>8.3} {:>8.3} {:>8.3}",
            "",
            "ratio",
            ours.per_second / theirs.per_second,
            ours.p50 / theirs.p50,
            ours.p99 / theirs.p99,
            ours.cpu / theirs.cpu,
        );
    }
    if lost.is_empty() {
        Ok(())
    } else {
        Err(format!("spans were lost: {}", lost.join("; ")).into())
    }
}

fn round(
    processor: Processor,
    delay: u64,
    seconds: u64,
    pace: u64,
) -> Result<Round, Box<dyn Error>> {
    let mut sink = Child::start(&["sink", &delay.to_string()])?;
    let endpoint = format!("http://{}", sink.line()?);
    let mut service = Child::start(&["service", &processor.to_string(), &endpoint])?;
    let address = service.line()?;
    let asks = |seconds: u64| -> Result<client::Load, Box<dyn Error>> {
        let mut client =
            Child::start(&["client", &address, &seconds.to_string(), &pace.to_string()])?;
        let load = client.line()?.parse()?;
        client.stop()?;
        Ok(load)
    };
    asks(1)?;
    let load = asks(seconds)?;
    service.close();
    let served = service.line()?.parse()?;
    service.stop()?;
    sink.close();
    let received = sink.line()?.parse()?;
    sink.stop()?;
    Ok(Round { load, service: served, received })
}

struct Medians {
    per_second: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    ended: u64,
    received: u64,
    peak: f64,
}

impl Medians {
    fn of(rounds: &[Round]) -> Self {
        let median = |of: &dyn Fn(&Round) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            per_second: median(&|round| round.load.per_second),
            p50: median(&|round| round.load.p50),
            p99: median(&|round| round.load.p99),
            cpu: median(&|round| round.service.cpu_micros / round.service.ended as f64),
            ended: rounds.iter().map(|round| round.service.ended).sum(),
            received: rounds.iter().map(|round| round.received).sum(),
            peak: median(&|round| round.service.peak_megabytes),
        }
    }

    fn print(&self, case: &str, processor: &str) {
        let Self { per_second, p50, p99, cpu, ended, received, peak } = self;
        let lost = 100.0 * ended.saturating_sub(*received) as f64 / *ended as f64;
        println!(
            "{case:<22} {processor:<9} {per_second:>8.0} {p50:>8.0} {p99:>8.0} {cpu:>8.2} \
             {ended:>9} {received:>9} {lost:>7.2} {peak:>7.1}"
        );
    }
}
