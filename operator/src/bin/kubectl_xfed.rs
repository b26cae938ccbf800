//! The plugin `kubectl xfed` (docs/probers.md).

use std::process::ExitCode;

use clap::Parser;
use operator::plugin::probe::{Outcome, probe};
use operator::plugin::{Command, Plugin};

fn main() -> ExitCode {
    let Plugin { command: Command::Probe(args) } = Plugin::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(probe(&args)) {
        Ok(Outcome::Reached) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("kubectl xfed: {error}");
    ExitCode::from(2)
}
