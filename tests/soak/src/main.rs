//! `soak`: millions of numbered stanzas through the engine while its peers, backend, configuration and process are
//! disturbed. The exit code is 0 only if every stanza is accounted for.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use soak::ledger::Loss;
use soak::run::{Options, run};

/// Sends numbered stanzas through the engine, disturbs everything around it, and accounts for each stanza by identity.
#[derive(Debug, Parser)]
struct Arguments {
    /// The engine. Default: `federation-engine` beside this program.
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Total number of stanzas.
    #[arg(long, default_value_t = 10_000_000)]
    stanzas: u64,
    /// Number of stanzas between two quiet moments.
    #[arg(long, default_value_t = 200_000)]
    round: u64,
    /// Number of disturbances between two quiet moments.
    #[arg(long, default_value_t = 60)]
    disturbances: u64,
    /// Restart the engine once in every N rounds; 0: never.
    #[arg(long, default_value_t = 3)]
    restart_every: u64,
    /// Number of peers; each has a flow in each direction.
    #[arg(long, default_value_t = 8)]
    peers: usize,
    /// Maximum number of stanzas in a queue of the engine.
    #[arg(long, default_value_t = 4_096)]
    queue_stanzas: u64,
    /// The seed of the disturbances.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let beside = || {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name("federation-engine")
    };
    let options = Options {
        engine: arguments.engine.unwrap_or_else(beside),
        stanzas: arguments.stanzas,
        round: arguments.round.max(1),
        disturbances: arguments.disturbances,
        restart_every: arguments.restart_every,
        peers: arguments.peers.max(1),
        queue_stanzas: arguments.queue_stanzas.max(1),
        seed: arguments.seed,
        forbidden: vec![Loss::NoRoom, Loss::AtEnd],
        verbose: true,
    };
    match run(&options) {
        Ok(report) => {
            print!("{report}");
            if report.faults.count == 0 {
                return ExitCode::SUCCESS;
            }
            eprintln!("{}", report.log);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}
