//! `soak`: millions of numbered stanzas through the engine while its peers, backend, configuration and process are
//! disturbed. Exit code 0 only when the books balance to the last stanza.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use soak::ledger::Loss;
use soak::run::{Options, run};

/// Sends numbered stanzas through the engine, disturbs everything around it, and balances the books by identity.
#[derive(Debug, Parser)]
struct Arguments {
    /// The engine. Default: `federation-engine` beside this program.
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Stanzas in all.
    #[arg(long, default_value_t = 10_000_000)]
    stanzas: u64,
    /// Stanzas between two quiet moments.
    #[arg(long, default_value_t = 200_000)]
    round: u64,
    /// Disturbances between two quiet moments.
    #[arg(long, default_value_t = 60)]
    disturbances: u64,
    /// The engine is started again in every round of that number; 0: never.
    #[arg(long, default_value_t = 3)]
    restart_every: u64,
    /// Peers; each has a flow in each direction.
    #[arg(long, default_value_t = 8)]
    peers: usize,
    /// Stanzas that a queue of the engine takes.
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
