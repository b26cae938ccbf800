//! The engine's program: arguments, runtime, signals.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use federation_engine::args::{Args, Command, RunArgs};
use federation_engine::config::{check, load::load};
use federation_engine::{log, run};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Memory of a peak is returned to the system, within about 10 s.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    match (args.command, args.run) {
        (Some(Command::Check { config }), _) => print_check(&config),
        (None, Some(run)) => serve(&run),
        // clap shows the usage before this point.
        (None, None) => ExitCode::from(2),
    }
}

/// 0 and the report, or 2 and the first error.
fn print_check(config: &Path) -> ExitCode {
    match load(config) {
        Ok(config) => match check::report(&config) {
            Ok(report) => {
                println!("{report}");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error, 1),
        },
        Err(error) => failed(&error, 2),
    }
}

/// Polls of tasks on a worker before it checks the sockets again. The default of the runtime is 61: with streams whose
/// turns take all their time, other streams would wait for 61 turns until their input is noticed.
const POLLS_BETWEEN_EVENTS: u32 = 8;

fn serve(args: &RunArgs) -> ExitCode {
    if let Err(error) = log::set_up(log::ENGINE, args.log_format) {
        return failed(&error, 2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(POLLS_BETWEEN_EVENTS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, 1),
    };
    runtime.block_on(async {
        let shutdown = match end_by_signal() {
            Ok(shutdown) => shutdown,
            Err(error) => return failed(&error, 1),
        };
        match run::run(&args.config, shutdown).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, error.exit_code()),
        }
    })
}

/// Cancelled by SIGTERM or SIGINT.
fn end_by_signal() -> std::io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}

fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("federation-engine: {error}");
    ExitCode::from(code)
}
