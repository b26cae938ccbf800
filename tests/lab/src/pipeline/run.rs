//! Starts the steps' programs, waits for them to end, and ends them when the run is interrupted.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use harness::log::tail;
use rustix::process::{Pid, Signal, kill_process_group};

use super::error::{PipelineError, Result};
use super::history::History;
use super::schedule::Schedule;
use super::status::{StatusLine, duration};
use super::step::{State, Step};

/// Redraw interval of the status line.
const REDRAW: Duration = Duration::from_secs(1);
/// Maximum number of bytes of a failed step's log that are printed at once; the whole log stays in its file.
const LOG_ON_SCREEN: usize = 6_000;
/// Maximum time for a program to end on SIGTERM when the run is interrupted. cargo-nextest ends its tests within this
/// time.
const GRACE: Duration = Duration::from_secs(15);

/// An event of a run.
#[derive(Debug)]
pub enum Event {
    /// The program of a step has ended.
    Ended {
        /// The step.
        name: &'static str,
        /// Exit code 0.
        passed: bool,
    },
    /// The user interrupted the run.
    Interrupt,
}

/// The progress of a run: its steps, the location of its logs, the durations of its steps.
#[derive(Debug)]
pub struct Run {
    /// The steps.
    pub schedule: Schedule,
    /// Durations of steps that have ended.
    pub took: BTreeMap<&'static str, Duration>,
    history: History,
    logs: PathBuf,
    tree: PathBuf,
    running: BTreeMap<&'static str, Running>,
    line: StatusLine,
}

#[derive(Debug)]
struct Running {
    begun: Instant,
    group: Option<Pid>,
}

impl Run {
    /// A run in which nothing has started yet. Logs go to `logs`; programs run in `tree`.
    pub fn new(schedule: Schedule, history: History, logs: &Path, tree: &Path) -> Self {
        Self {
            schedule,
            took: BTreeMap::new(),
            history,
            logs: logs.to_owned(),
            tree: tree.to_owned(),
            running: BTreeMap::new(),
            line: StatusLine::new(),
        }
    }

    /// Runs all steps that can run. `tell` and `events` are the two ends of one channel; interruptions also arrive
    /// through it.
    pub fn to_the_end(&mut self, tell: &Sender<Event>, events: &Receiver<Event>) -> Result<()> {
        loop {
            while let Some(step) = self.schedule.start_next() {
                self.start(&step, tell);
            }
            if self.schedule.is_over() {
                self.line.clear();
                return self.history.write();
            }
            match events.recv_timeout(REDRAW) {
                Ok(Event::Ended { name, passed }) => self.ended(name, passed),
                Ok(Event::Interrupt) => self.interrupt(),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.line.draw(&self.status());
        }
    }

    /// The log of a step.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{}.log", name.replace(' ', "-")))
    }

    fn start(&mut self, step: &Step, tell: &Sender<Event>) {
        let last = self.history.of(step.name);
        let last = last.map_or_else(String::new, |last| format!(" (last time {})", duration(last)));
        self.line.print(&format!("==> {}{last}", step.name));
        let name = step.name;
        let begun = Instant::now();
        match spawn(step, &self.tree, &self.log(name)) {
            Ok(mut child) => {
                let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                self.running.insert(name, Running { begun, group });
                let tell = tell.clone();
                thread::spawn(move || {
                    let passed = child.wait().is_ok_and(|status| status.success());
                    let _ = tell.send(Event::Ended { name, passed });
                });
            }
            Err(error) => {
                self.line.print(&format!("    {error}"));
                self.running.insert(name, Running { begun, group: None });
                let _ = tell.send(Event::Ended { name, passed: false });
            }
        }
    }

    fn ended(&mut self, name: &'static str, passed: bool) {
        let took =
            self.running.remove(name).map(|running| running.begun.elapsed()).unwrap_or_default();
        self.took.insert(name, took);
        if passed {
            self.history.keep(name, took);
            self.line.print(&format!("==> {name}: passed ({})", duration(took)));
        } else {
            let log = self.log(name);
            let text = std::fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            self.line.print(&format!(
                "==> {name}: FAILED ({}); the end of {}:\n{}",
                duration(took),
                log.display(),
                tail(&text, LOG_ON_SCREEN).trim_end()
            ));
        }
        self.schedule.ended(name, passed);
    }

    fn interrupt(&mut self) {
        if self.schedule.is_interrupted() {
            return;
        }
        self.line.print("==> interrupted: stopping the running steps");
        self.schedule.interrupt();
        let groups: Vec<Pid> = self.running.values().filter_map(|running| running.group).collect();
        end(&groups, Signal::TERM);
        thread::spawn(move || {
            thread::sleep(GRACE);
            end(&groups, Signal::KILL);
        });
    }

    fn status(&self) -> String {
        let all = self.schedule.states().count();
        let done = self.schedule.states().filter(|(_, state)| state.is_final()).count();
        let ran = self.running.iter().map(|(name, running)| (*name, running.begun.elapsed()));
        let ran: BTreeMap<&str, Duration> = ran.collect();
        let running: Vec<String> =
            ran.iter().map(|(name, ran)| format!("{name} {}", duration(*ran))).collect();
        let left: Vec<&str> = self
            .schedule
            .states()
            .filter(|(_, state)| *state == State::Waiting)
            .map(|(step, _)| step.name)
            .collect();
        let rest = self.history.rest(&self.schedule, &ran).map(duration);
        let rest = rest.map_or_else(String::new, |rest| format!("; about {rest} left"));
        let left =
            if left.is_empty() { String::new() } else { format!("; then {}", left.join(", ")) };
        format!("[{done}/{all}] {}{rest}{left}", running.join(", "))
    }
}

/// Starts the program in its own process group, so that the whole step can be ended.
fn spawn(step: &Step, tree: &Path, log: &Path) -> Result<Child> {
    let output = File::create(log).map_err(PipelineError::io("creating", log))?;
    let also = output.try_clone().map_err(PipelineError::io("opening", log))?;
    let (program, arguments) = step
        .command
        .split_first()
        .map_or(("false", &[][..]), |(program, rest)| (program.as_str(), rest));
    Command::new(program)
        .args(arguments)
        .current_dir(tree)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(also)
        .process_group(0)
        .spawn()
        .map_err(PipelineError::io("starting", Path::new(program)))
}

fn end(groups: &[Pid], signal: Signal) {
    for group in groups {
        // A step that has ended in the meantime no longer has a process group.
        let _ = kill_process_group(*group, signal);
    }
}
