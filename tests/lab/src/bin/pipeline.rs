//! `make test`, after the build of its own programs: runs every step and reports on all of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use clap::Parser;
use lab::pipeline::error::{PipelineError, Result};
use lab::pipeline::history::History;
use lab::pipeline::junit;
use lab::pipeline::plan::{AT_ONCE, CLUSTER_TESTS, LIST_OF_TESTS, OTHER_TESTS, SECOND_LAB, steps};
use lab::pipeline::report::{self, Outcome};
use lab::pipeline::run::{Event, Run};
use lab::pipeline::schedule::Schedule;
use lab::pipeline::status::duration;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Runs all steps of `make test`.
#[derive(Debug, Parser)]
struct Args {
    /// The source tree.
    #[arg(long)]
    tree: PathBuf,
    /// Directory for the logs of this run.
    #[arg(long)]
    logs: PathBuf,
    /// File for the durations of the steps.
    #[arg(long)]
    times: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("make test: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let begun = Instant::now();
    let own =
        std::env::current_exe().map_err(PipelineError::io("finding", Path::new("pipeline")))?;
    let binaries = own.parent().unwrap_or(Path::new("."));
    let (tell, events) = channel();
    interrupts(tell.clone())?;
    let reports = [CLUSTER_TESTS, SECOND_LAB, OTHER_TESTS].map(|(step, profile)| {
        (step, args.tree.join("target/nextest").join(profile).join("junit.xml"))
    });
    for (_, report) in &reports {
        // This report is from an earlier run and must not be mistaken for the report of this run.
        let _ = std::fs::remove_file(report);
    }
    let schedule = Schedule::new(steps(binaries, &args.logs), AT_ONCE);
    let mut run = Run::new(schedule, History::read(&args.times), &args.logs, &args.tree);
    run.to_the_end(&tell, &events)?;

    let outcome = outcome(args, &run, &reports);
    let page = std::fs::read_to_string(args.tree.join("docs/development.md")).unwrap_or_default();
    let passed = outcome.is_good() && run.schedule.states().all(|(_, state)| !state.is_bad());
    println!("\n== make test: summary\n{}", report::steps(&run));
    println!("{}", report::tests(&outcome, &report::reasons(&page)));
    println!("logs: {}", args.logs.display());
    println!("{}", report::count(&outcome));
    println!("== {} ({})", if passed { "PASSED" } else { "FAILED" }, duration(begun.elapsed()));
    Ok(passed)
}

/// The results of the tests: the report of each step that runs tests, and the list of every existing test.
fn outcome(args: &Args, run: &Run, reports: &[(&'static str, PathBuf)]) -> Outcome {
    let mut outcome = Outcome::default();
    for (step, file) in reports {
        if !file.exists() {
            outcome.problems.push(format!("{step}: no test ran"));
            continue;
        }
        let log = run.log(step).display().to_string();
        match junit::read(file) {
            Ok(tests) => outcome.ran.extend(tests.into_iter().map(|test| (test, log.clone()))),
            Err(error) => outcome.problems.push(error.to_string()),
        }
    }
    match report::all_tests(&args.logs.join(LIST_OF_TESTS)) {
        Ok(all) => outcome.all = all,
        Err(problem) => outcome.problems.push(problem),
    }
    outcome
}

fn interrupts(tell: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])
        .map_err(PipelineError::io("waiting for signals of", Path::new("the system")))?;
    thread::spawn(move || {
        for _ in &mut signals {
            if tell.send(Event::Interrupt).is_err() {
                return;
            }
        }
    });
    Ok(())
}
