//! See the README.

use std::process::ExitCode;

use clap::Parser;
use federation_engine::log::{self, Program};
use operator::args::{Args, Command, CommandLine};
use operator::causes::Causes;
use operator::check::CheckArgs;

/// The operator's log.
const LOG: Program = Program {
    name: "xmpp-federation-operator",
    default_filter: "info,kube_runtime=warn",
    // The caller gets every error that this module logs, and knows its context.
    fixed_filter: Some("kube_client::client::builder=off"),
    own_target: None,
};

fn main() -> ExitCode {
    let CommandLine { command, run } = CommandLine::parse();
    match (command, run) {
        (Some(Command::Check(args)), _) => check(&args),
        (None, Some(args)) => serve(args),
        // clap shows the usage before this point.
        (None, None) => ExitCode::from(2),
    }
}

/// Prints the findings and returns 0, or prints the first missing prerequisite and returns 1.
fn check(args: &CheckArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(operator::check::check(args)) {
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("xmpp-federation-operator: {error}");
    ExitCode::FAILURE
}

fn serve(args: Args) -> ExitCode {
    if let Err(error) = log::set_up(LOG, args.log_format) {
        eprintln!("xmpp-federation-operator: {error}");
        return ExitCode::from(2);
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "cannot start");
                return ExitCode::FAILURE;
            }
        };
    let ended = runtime.block_on(async {
        let ended = operator::run::run(args).await;
        if let Some(log) = log::current() {
            log.end().await;
        }
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Causes(&error), "exiting");
            ExitCode::FAILURE
        }
    }
}
