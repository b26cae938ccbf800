//! `bench`: stanzas per CPU-second of the engine beside Prosody's, in the same run and under the same load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tests::bench::error::{BenchError, Result};
use tests::bench::load::Size;
use tests::bench::measure::{Measurement, Run};
use tests::bench::prosody::Prosody;
use tests::bench::relay::Relay;
use tests::bench::report::{Figures, Memory, Report};
use tests::bench::subject::{Certificates, Subject};
use tests::bench::{null, usage};
use tests::parts::{self, Part};
use tests::paths::Paths;

/// Runs of each server and size; the median is reported.
const ROUNDS: usize = 3;

/// Measures how many stanzas the engine relays per second of its processor time, and Prosody beside it.
#[derive(Debug, Parser)]
struct Arguments {
    /// The engine, built for release. Default: `federation-engine` beside this program.
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Prosody's root file system. Default: the lab's, built when it is not in the cache.
    #[arg(long)]
    prosody_root: Option<PathBuf>,
    /// Which servers: `engine` or `prosody`. Default: both.
    #[arg(long)]
    only: Option<String>,
    /// Writes all figures to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let wants = |name: &str| arguments.only.as_deref().is_none_or(|only| only == name);
    let certificates = Certificates::new()?;
    let home = tempfile::tempdir().map_err(BenchError::io("making", "a directory"))?;
    let directory = |name: &str| {
        let path = home.path().join(name);
        fs::create_dir(&path).map_err(BenchError::io("making", &path))?;
        Ok::<_, BenchError>(path)
    };

    let null = null::start(&certificates)?;
    let start_relay = || Relay::start(&engine(arguments)?, &directory("engine")?, &certificates);
    let start_prosody =
        || Prosody::start(&prosody_root(arguments)?, &directory("prosody")?, &certificates);
    let relay = wants("engine").then(start_relay).transpose()?;
    let prosody = wants("prosody").then(start_prosody).transpose()?;
    let subjects: Vec<&Subject> = [Some(&null)]
        .into_iter()
        .chain([relay.as_ref().map(|relay| &relay.subject)])
        .chain([prosody.as_ref().map(|prosody| &prosody.subject)])
        .flatten()
        .collect();
    let report = measure(&subjects, &certificates)?;
    print!("{report}");
    for size in Size::ALL {
        if let Some(ratio) = report.ratio("engine", "Prosody", size) {
            println!("{} bytes: the engine relays {ratio:.1} times Prosody's", size.bytes());
        }
    }
    match &arguments.json {
        Some(file) => write_json(file, &report),
        None => Ok(()),
    }
}

/// Rounds in turn, so that what else the machine does meets all alike.
fn measure(subjects: &[&Subject], certificates: &Certificates) -> Result<Report> {
    let idle: Vec<Option<u64>> =
        subjects.iter().map(|subject| resident(subject)).collect::<Result<_>>()?;
    let mut runs: Vec<Run<'_>> =
        subjects.iter().map(|subject| Run::new(subject, certificates)).collect();
    let mut figures = Vec::new();
    for size in Size::ALL {
        let mut found: Vec<Vec<Measurement>> = vec![Vec::new(); subjects.len()];
        for round in 1..=ROUNDS {
            for ((subject, run), found) in subjects.iter().zip(&mut runs).zip(&mut found) {
                eprintln!("{} bytes, round {round} of {ROUNDS}: {}", size.bytes(), subject.name);
                found.push(run.measure(size, stanzas(subject, size))?);
            }
        }
        for (subject, found) in subjects.iter().zip(&found) {
            figures.extend(Figures::of(subject.name, size, found));
        }
    }
    let mut memory = Vec::new();
    for (subject, idle) in subjects.iter().zip(idle) {
        if let (Some(idle_kib), Some(after_kib)) = (idle, resident(subject)?) {
            memory.push(Memory { subject: subject.name, idle_kib, after_kib });
        }
    }
    Ok(Report { figures, memory })
}

/// Enough for a second or two of processor time, whose clock ticks a hundred times a second.
fn stanzas(subject: &Subject, size: Size) -> u64 {
    match (subject.name, size) {
        ("Prosody", Size::Small) => 40_000,
        ("Prosody", Size::Large) => 15_000,
        (_, Size::Small) => 500_000,
        (_, Size::Large) => 100_000,
    }
}

fn resident(subject: &Subject) -> Result<Option<u64>> {
    subject.pid.map(usage::resident).transpose()
}

fn engine(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(engine) = &arguments.engine {
        return Ok(engine.clone());
    }
    let own = std::env::current_exe().map_err(BenchError::io("finding", "this program"))?;
    Ok(own.with_file_name("federation-engine"))
}

fn prosody_root(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(root) = &arguments.prosody_root {
        return Ok(root.clone());
    }
    let paths = Paths::from_env()?;
    if let Ok(root) = Part::Prosody.file(&paths, "rootfs") {
        return Ok(root);
    }
    parts::build_only(&paths, &[Part::Prosody])?;
    Ok(Part::Prosody.file(&paths, "rootfs")?)
}

fn write_json(file: &Path, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| BenchError::State(format!("the report as JSON: {error}")))?;
    fs::write(file, text).map_err(BenchError::io("writing", file))
}
