//! Prints the figures of docs/capacity.md.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

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
    let Args { federations, namespaces, nodes, minutes } = *args;
    let mut stage = Stage::start(Load { federations, namespaces, nodes })?;
    let judged = stage.until_judged()?;
    let used = stage.usage()?;
    println!("all {federations} judged after {judged:.1?}; processor {:.1?}", used.processor);
    println!("resident {} MiB, at most {} MiB", used.resident / 1024, used.peak / 1024);
    let begin = stage.requests()?;
    print("requests until then", &begin);
    stage.until_idle()?;
    let (before, processor) = (stage.requests()?, stage.usage()?.processor);
    thread::sleep(Duration::from_mins(minutes));
    let (idle, used) = (capacity::since(&before, &stage.requests()?), stage.usage()?);
    print(&format!("requests in {minutes} idle minutes"), &idle);
    let of = |requests: &Requests| requests.values().sum::<usize>();
    let (all, own) = (of(&idle), of(&capacity::per_federation(&idle)));
    println!("{all} requests, {own} of them for federations");
    println!("processor {:.1?}", used.processor.saturating_sub(processor));
    println!("resident {} MiB, at most {} MiB", used.resident / 1024, used.peak / 1024);
    Ok(())
}

fn print(what: &str, requests: &Requests) {
    println!("{what}: {}", requests.values().sum::<usize>());
    for (request, count) in requests {
        println!("  {count:7} {request}");
    }
}
