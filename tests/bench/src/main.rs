//! `bench`: the engine and Prosody in the same run and under the same load: stanzas per CPU-second, and the time to the
//! first stanza of a new peer. And the engine alone: queries of its DNS server, the time that it adds to a stanza, and
//! rooms through two replicas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bench::added::Added;
use bench::delay::Delays;
use bench::error::{BenchError, Result};
use bench::first_stanza::{self, Newcomer};
use bench::latency::Paths;
use bench::load::Size;
use bench::measure::{Measurement, Run};
use bench::prosody::Prosody;
use bench::relay::Relay;
use bench::report::{Figures, Memory, Report};
use bench::room::{self, Outcome, Plan};
use bench::stranger::Strangers;
use bench::subject::{Certificates, Place, Subject};
use bench::{names, null};
use clap::{Parser, ValueEnum};
use harness::usage;
use lab::debian::Debian;
use lab::parts::{self, Part};
use lab::paths;

/// The measured release.
const PROSODY: Part = Part::Server(Debian::Prosody13);
/// Number of runs of each server and size. The report shows the median.
const ROUNDS: usize = 3;
/// Stanzas on each path of the experiment on latency, and the pause before each of them.
const LATENCY: [(usize, Duration); 2] = [(5_000, Duration::ZERO), (500, Duration::from_millis(2))];
/// The rooms: 10,000 presences at the required rate, and 400,000 without a limit.
const ROOMS: [Plan; 2] = [
    Plan { occupants: 4, presences: 500, per_second: Some(1_000) },
    Plan { occupants: 4, presences: 20_000, per_second: None },
];
/// The name of the engine in the report.
const ENGINE: &str = "engine";
/// The name of the engine before a component in the report.
const ENGINE_COMPONENT: &str = "engine, component";
/// The name of the `--before` build in the report.
const ENGINE_BEFORE: &str = "engine before";

/// Measures how many stanzas the engine relays per second of its processor time, and the time to the first stanza to a
/// new peer. Measures Prosody in the same way.
#[derive(Debug, Parser)]
struct Arguments {
    /// The engine, built for release. Default: `federation-engine` beside this program.
    #[arg(long)]
    engine: Option<PathBuf>,
    /// An earlier build of the engine, measured in the same run, so that a regression is visible on a noisy machine as
    /// well.
    #[arg(long)]
    before: Option<PathBuf>,
    /// Prosody's root file system. Default: that of Debian 13, built if it is not in the cache.
    #[arg(long)]
    prosody_root: Option<PathBuf>,
    /// Servers to measure: `engine` (and the earlier build) or `prosody`. Default: both.
    #[arg(long)]
    only: Option<String>,
    /// Experiment to run: `throughput`, `first-stanza`, `dns`, `added-latency` or `room-presences`. Default: all.
    #[arg(long)]
    measure: Option<Experiment>,
    /// Number of new peers of each kind to which each server sends a first stanza.
    #[arg(long, default_value_t = 40)]
    peers: usize,
    /// Writes all figures to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// An experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Experiment {
    /// Stanzas per CPU-second.
    Throughput,
    /// Time to the first stanza of a new peer.
    FirstStanza,
    /// DNS queries of a backend per CPU-second.
    Dns,
    /// Time that the engine adds to a stanza.
    AddedLatency,
    /// Presences of a room through two engines.
    RoomPresences,
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
    let measures = |what| arguments.measure.is_none_or(|only| only == what);
    let certificates = Certificates::new()?;
    let home = tempfile::tempdir().map_err(BenchError::io("making", "a directory"))?;
    let bench = Bench { arguments, certificates: &certificates, home: home.path() };
    let mut report = Report::default();
    if measures(Experiment::Throughput) {
        report = bench.throughput()?;
    }
    if measures(Experiment::FirstStanza) {
        report.first_stanza = bench.first_stanza()?;
    }
    if measures(Experiment::Dns) {
        bench.dns()?;
    }
    if measures(Experiment::AddedLatency) {
        report.added_latency = bench.added_latency()?;
    }
    if measures(Experiment::RoomPresences) {
        report.rooms = bench.rooms()?;
    }
    print!("{report}");
    for size in Size::ALL {
        if let Some(ratio) = report.ratio(ENGINE, "Prosody", size) {
            println!("{} bytes: the engine relays {ratio:.1} times Prosody's", size.bytes());
        }
        if let Some(ratio) = report.ratio(ENGINE_COMPONENT, ENGINE, size) {
            println!(
                "{} bytes: to a component, the engine relays {ratio:.2} times that to a server",
                size.bytes()
            );
        }
        if let Some(ratio) = report.ratio(ENGINE, ENGINE_BEFORE, size) {
            println!(
                "{} bytes: the engine relays {ratio:.2} times that of {ENGINE_BEFORE}",
                size.bytes()
            );
        }
    }
    match &arguments.json {
        Some(file) => write_json(file, &report),
        None => Ok(()),
    }
}

/// Starts the servers. Each experiment has its own instance.
struct Bench<'a> {
    arguments: &'a Arguments,
    certificates: &'a Certificates,
    home: &'a Path,
}

impl Bench<'_> {
    fn throughput(&self) -> Result<Report> {
        let null = null::start(self.certificates)?;
        let before = self.relay_before(Place::free()?)?;
        let relay = self.relay("engine", Place::free()?)?;
        let prosody = self.prosody("prosody", Place::free()?)?;
        let component = self.relay_component(Place::free()?)?;
        let relays = before.iter().chain(&relay).chain(&component).map(|relay| &relay.subject);
        let subjects: Vec<&Subject> = std::iter::once(&null)
            .chain(relays)
            .chain(prosody.as_ref().map(|prosody| &prosody.subject))
            .collect();
        measure(&subjects, self.certificates)
    }

    /// Prints the figures at once: Prosody has none to compare with.
    fn dns(&self) -> Result<()> {
        let Some(relay) = self.relay("engine-dns", Place::free()?)? else { return Ok(()) };
        for round in 1..=ROUNDS {
            let figure = names::measure(&relay)?;
            println!("DNS, round {round} of {ROUNDS}: {figure:.0} queries per CPU-second");
        }
        Ok(())
    }

    fn added_latency(&self) -> Result<Vec<Added>> {
        if !self.wants("engine") {
            return Ok(Vec::new());
        }
        let mut paths = Paths::start(&engine(self.arguments)?)?;
        let measured = LATENCY.map(|(stanzas, pause)| {
            eprintln!("latency: {stanzas} stanzas on each path, each after {pause:?}");
            paths.measure(stanzas, pause)
        });
        Ok(measured.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    fn rooms(&self) -> Result<Vec<Outcome>> {
        if !self.wants("engine") {
            return Ok(Vec::new());
        }
        let engine = engine(self.arguments)?;
        let run = |plan: Plan| {
            eprintln!("room: {} presences", plan.arrivals());
            room::run(&engine, plan)
        };
        ROOMS.map(run).into_iter().collect()
    }

    fn first_stanza(&self) -> Result<Vec<Delays>> {
        let (engine, engine_strangers) = self.place()?;
        let (prosody, prosody_strangers) = self.place()?;
        let relay = self.relay("engine-among-strangers", engine)?;
        let prosody = self.prosody("prosody-among-strangers", prosody)?;
        let mut newcomers = Vec::new();
        if let Some(relay) = &relay {
            let (name, inside) = (relay.subject.name, relay.inside()?);
            newcomers.push(Newcomer { name, inside, strangers: &engine_strangers });
        }
        if let Some(prosody) = &prosody {
            let (name, inside) = (prosody.subject.name, prosody.inside(self.certificates)?);
            newcomers.push(Newcomer { name, inside, strangers: &prosody_strangers });
        }
        eprintln!("first stanza: {} new peers of each kind for each server", self.arguments.peers);
        first_stanza::measure(&mut newcomers, self.arguments.peers)
    }

    /// A place whose name server has records of the unknown servers.
    fn place(&self) -> Result<(Place, Strangers)> {
        let place = Place::free()?;
        let strangers = Strangers::start(self.certificates, place.address, self.arguments.peers)?;
        Ok((Place { resolver: strangers.resolver(), ..place }, strangers))
    }

    fn relay(&self, directory: &str, place: Place) -> Result<Option<Relay>> {
        let start = || {
            let directory = self.directory(directory)?;
            Relay::start(ENGINE, &engine(self.arguments)?, &directory, self.certificates, place)
        };
        self.wants("engine").then(start).transpose()
    }

    fn relay_component(&self, place: Place) -> Result<Option<Relay>> {
        let start = || {
            let directory = self.directory("engine-component")?;
            let (name, engine) = (ENGINE_COMPONENT, engine(self.arguments)?);
            Relay::start_before_component(name, &engine, &directory, self.certificates, place)
        };
        self.wants("engine").then(start).transpose()
    }

    fn relay_before(&self, place: Place) -> Result<Option<Relay>> {
        let Some(binary) = self.arguments.before.as_deref().filter(|_| self.wants("engine")) else {
            return Ok(None);
        };
        let directory = self.directory("engine-before")?;
        Relay::start(ENGINE_BEFORE, binary, &directory, self.certificates, place).map(Some)
    }

    fn prosody(&self, directory: &str, place: Place) -> Result<Option<Prosody>> {
        let start = || {
            let directory = self.directory(directory)?;
            Prosody::start(&prosody_root(self.arguments)?, &directory, self.certificates, place)
        };
        self.wants("prosody").then(start).transpose()
    }

    fn wants(&self, name: &str) -> bool {
        self.arguments.only.as_deref().is_none_or(|only| only == name)
    }

    fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.home.join(name);
        fs::create_dir(&path).map_err(BenchError::io("making", &path))?;
        Ok(path)
    }
}

/// Runs the rounds of all servers in turn, so that other load on the machine affects all alike.
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
    Ok(Report { figures, memory, ..Report::default() })
}

/// Number of stanzas for one or two seconds of processor time. Its clock ticks a hundred times a second.
fn stanzas(subject: &Subject, size: Size) -> u64 {
    match (subject.name, size) {
        ("Prosody", Size::Small) => 40_000,
        ("Prosody", Size::Large) => 15_000,
        (_, Size::Small) => 500_000,
        (_, Size::Large) => 100_000,
    }
}

fn resident(subject: &Subject) -> Result<Option<u64>> {
    Ok(subject.pid.map(usage::resident).transpose()?)
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
    let paths = paths::Paths::from_env()?;
    if let Ok(root) = PROSODY.file(&paths, "rootfs") {
        return Ok(root);
    }
    parts::build_only(&paths, &[PROSODY])?;
    Ok(PROSODY.file(&paths, "rootfs")?)
}

fn write_json(file: &Path, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| BenchError::State(format!("the report as JSON: {error}")))?;
    fs::write(file, text).map_err(BenchError::io("writing", file))
}
