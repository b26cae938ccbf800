//! See the README.

use std::process::ExitCode;

use clap::Parser;
use operator::args::{Args, LogFormat};
use operator::causes::Causes;
use tracing_subscriber::EnvFilter;

/// Environment variable with the filter of the log, such as `operator=debug,info`.
const LOG_FILTER: &str = "XFED_LOG";

/// Filter of the log when the variable is not set.
const DEFAULT_FILTER: &str = "info,kube_runtime=warn";
/// The caller gets every error that this module logs, and knows its context.
const SILENT: &str = "kube_client::client::builder=off";

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = std::env::var(LOG_FILTER).unwrap_or_default();
    let filter = if filter.trim().is_empty() { DEFAULT_FILTER } else { filter.as_str() };
    let filter = match EnvFilter::builder().parse(format!("{filter},{SILENT}")) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!(
                "xmpp-federation-operator: invalid {LOG_FILTER}={filter}: {error}; use a level such as info"
            );
            return ExitCode::from(2);
        }
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.init(),
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
