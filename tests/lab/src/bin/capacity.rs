//! Prints the figures of docs/capacity.md.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use lab::capacity::{self, Load, Requests, Stage};
use lab::error::Result;

/// Measures the operator with many federations and nodes on a standalone API server. Needs no root.
#[derive(Debug, Parser)]
#[command(name = "capacity")]
struct Args {
    /// Federations.
    #[arg(long, default_value_t = 500)]
    federations: usize,
    /// Namespaces that they are spread over.
    #[arg(long, default_value_t = 50)]
    namespaces: usize,
    /// Nodes.
    #[arg(long, default_value_t = 3000)]
    nodes: usize,
    /// Domains of each federation.
    #[arg(long, default_value_t = 1)]
    domains: usize,
    /// Peers of each federation.
    #[arg(long, default_value_t = 0)]
    peers: usize,
    /// Minutes for which requests are counted once nothing changes.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capacity: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let Args { federations, namespaces, nodes, domains, peers, minutes } = *args;
    let mut stage = Stage::start(Load { federations, namespaces, nodes, domains, peers })?;
    let judged = stage.until_judged()?;
    println!("all {federations} judged after {judged:.1?}");
    print("requests until then", &stage.requests()?, judged);
    println!("the largest status has {} bytes", stage.largest_status()?);
    used(&stage)?;

    stage.until_idle()?;
    let (before, begun) = (stage.requests()?, Instant::now());
    thread::sleep(Duration::from_mins(minutes));
    let idle = capacity::since(&before, &stage.requests()?);
    print("requests while idle", &idle, begun.elapsed());
    println!("{} of them for federations", sum(&capacity::per_federation(&idle)));
    used(&stage)?;

    stage.report_engines()?;
    stage.until_idle()?;
    let (before, begun) = (stage.requests()?, Instant::now());
    stage.replace_engines()?;
    let replaced = begun.elapsed();
    stage.until_idle()?;
    let requests = capacity::since(&before, &stage.requests()?);
    print("requests while all engines are replaced", &requests, replaced);
    used(&stage)
}

fn print(what: &str, requests: &Requests, time: Duration) {
    let all = sum(requests);
    let minutes = time.as_secs_f64() / 60.0;
    println!("{what}: {all} in {time:.1?}, {:.1} per minute", f64::from(all) / minutes);
    for (request, count) in requests {
        println!("  {count:7} {request}");
    }
}

fn sum(requests: &Requests) -> u32 {
    u32::try_from(requests.values().sum::<usize>()).unwrap_or(u32::MAX)
}

/// What the operator has used so far.
fn used(stage: &Stage) -> Result<()> {
    let used = stage.usage()?;
    println!("processor {:.1?}", used.processor);
    println!("resident {} MiB, at most {} MiB", used.resident / 1024, used.peak / 1024);
    println!("{}", stage.passes()?);
    Ok(())
}
