//! See the README.

use std::process::ExitCode;

use clap::Parser;
use federation_engine::log::{self, Program};
use operator::args::Args;
use operator::causes::Causes;

/// The operator's log.
const LOG: Program = Program {
    default_filter: "info,kube_runtime=warn",
    // The caller gets every error that this module logs, and knows its context.
    fixed_filter: Some("kube_client::client::builder=off"),
    own_target: None,
    flat_json: false,
};

fn main() -> ExitCode {
    let args = Args::parse();
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
    match runtime.block_on(operator::run::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Causes(&error), "exiting");
            ExitCode::FAILURE
        }
    }
}
