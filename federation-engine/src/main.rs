//! The engine's program: arguments, runtime, signals.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use federation_engine::args::{Args, Command, LogFormat, ProbeArgs};
use federation_engine::config::{check, load::load};
use federation_engine::prober::serve::{self as prober, Settings};
use federation_engine::{log, run};
use s2s_proto::guard::Guard;
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
        (Some(Command::Probe(args)), _) => {
            let format = args.log_format;
            serve(format, async |shutdown| {
                prober::serve(prober_settings(args), shutdown)
                    .await
                    .map_err(|error| failed(&error, 2))
            })
        }
        (None, Some(args)) => serve(args.log_format, async |shutdown| {
            let ended = run::run(&args.config, shutdown).await;
            ended.map_err(|error| failed(&error, error.exit_code()))
        }),
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

/// Runs something until a signal, with a log and a runtime.
fn serve(
    format: LogFormat,
    work: impl AsyncFnOnce(CancellationToken) -> Result<(), ExitCode>,
) -> ExitCode {
    if let Err(error) = log::set_up(log::ENGINE, format) {
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
        let code = work(shutdown).await.err().unwrap_or(ExitCode::SUCCESS);
        if let Some(log) = log::current() {
            log.end().await;
        }
        code
    })
}

fn prober_settings(args: ProbeArgs) -> Settings {
    Settings {
        listen: args.listen,
        token_file: args.token_file,
        certificate: args.certificate_file.zip(args.private_key_file),
        guard: Guard { allow_networks: args.allow_networks, own: Vec::new() },
    }
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
