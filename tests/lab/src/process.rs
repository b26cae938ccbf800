//! Background programs that outlive the command that started them, and their safe termination.
//!
//! A record identifies the process by id and start time. A process id that the system has reused is therefore never
//! signalled.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::environment;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::wait::{Seen, Wait};

/// Maximum time for a program to end on SIGTERM before it gets SIGKILL.
const POLITE: Duration = Duration::from_secs(10);
/// Maximum time for the system to end a process on SIGKILL.
const FORCED: Duration = Duration::from_mins(2);

/// A process. The start time distinguishes it from a later process with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/PID/stat`.
    start_time: u64,
}

impl Process {
    /// The process that currently has this id.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        (stat.state != 'Z').then_some(Self { pid, start_time: stat.start_time })
    }

    /// Its id.
    pub fn pid(self) -> i32 {
        self.pid
    }

    /// True while it runs (false for a zombie).
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Its child processes.
    pub fn children(self) -> Vec<Self> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let list = fs::read_to_string(path).unwrap_or_default();
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Self::of).collect()
    }

    /// Sends SIGTERM, and SIGKILL if the process still runs after ten seconds; waits for the end.
    pub fn stop(self) -> Result<()> {
        self.signal(Signal::TERM)?;
        if self.gone(POLITE).is_ok() {
            return Ok(());
        }
        self.kill()
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.gone(FORCED)
    }

    fn gone(self, within: Duration) -> Result<()> {
        Wait::new(format!("process {} to end", self.pid), within)
            .until(|| Ok(Seen::done_if(!self.is_alive(), self.describe())))
    }

    /// Its program and state, for the error when it does not end.
    fn describe(self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let wanted = ["Name:", "State:", "PPid:"];
        let lines = status.lines().filter(|line| wanted.iter().any(|word| line.starts_with(word)));
        lines.map(|line| line.replace('\t', " ")).collect::<Vec<_>>().join(", ")
    }

    fn signal(self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) else {
            return Ok(());
        };
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(source) => Err(Error::Io {
                doing: format!("ending process {}", self.pid),
                source: source.into(),
            }),
        }
    }
}

/// A namespace, by the device and inode of its file (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Namespace(u64, u64);

impl Namespace {
    /// The namespace of a file such as `/run/netns/NAME` or `/proc/PID/ns/net`.
    pub(crate) fn of_file(file: impl AsRef<Path>) -> Option<Self> {
        fs::metadata(file).ok().map(|file| Self(file.dev(), file.ino()))
    }
}

/// The processes in any of these network namespaces, without this process.
pub(crate) fn in_network_namespaces(namespaces: &[Namespace]) -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != own)
        .filter(|pid| {
            Namespace::of_file(format!("/proc/{pid}/ns/net"))
                .is_some_and(|namespace| namespaces.contains(&namespace))
        })
        .filter_map(Process::of)
        .collect()
}

struct Stat {
    state: char,
    start_time: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, the command's name in parentheses, may itself contain spaces and parentheses (proc(5)).
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let start_time = fields.nth(18)?.parse().ok()?;
        Some(Self { state, start_time })
    }
}

/// The records and logs of the background programs: one record and one log for each name.
#[derive(Debug, Clone)]
pub struct Daemons {
    records: PathBuf,
    logs: PathBuf,
}

impl Daemons {
    /// Records are in `records`, logs in `logs`.
    pub fn new(records: PathBuf, logs: PathBuf) -> Self {
        Self { records, logs }
    }

    /// The log of the program with this name.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Starts a program in its own session; its output is appended to its log.
    pub fn start(&self, name: &str, command: &Command) -> Result<Process> {
        let log_file = self.log(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_file)
            .map_err(Error::io("opening", &log_file))?;
        let also = log.try_clone().map_err(Error::io("opening", &log_file))?;
        // setsid(1) becomes the program itself, so the process id stays the same.
        let mut session = Command::new("setsid");
        session.arg(command.get_program()).args(command.get_args());
        environment::of_lab(&mut session);
        for (variable, value) in command.get_envs() {
            if let Some(value) = value {
                session.env(variable, value);
            }
        }
        let child = session
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .current_dir("/")
            .spawn()
            .map_err(|source| Error::Io { doing: format!("starting {name}"), source })?;
        let process = i32::try_from(child.id()).ok().and_then(Process::of).ok_or_else(|| {
            Error::State(format!("{name} exited at once; see {}", log_file.display()))
        })?;
        let record = self.record(name);
        let text = serde_json::to_string(&process).map_err(Error::json("a process record"))?;
        // By rename, because a truncated record would hide a running program.
        let unfinished = record.with_extension("new");
        fs::write(&unfinished, text).map_err(Error::io("writing", &unfinished))?;
        fs::rename(&unfinished, &record).map_err(Error::io("writing", &record))?;
        Ok(process)
    }

    /// The recorded process with this name, if it still runs.
    pub fn running(&self, name: &str) -> Result<Option<Process>> {
        let record = self.record(name);
        let text = match fs::read_to_string(&record) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("reading", &record)(error)),
        };
        // A record is truncated if the run was killed during the write.
        let process: Option<Process> = serde_json::from_str(&text).ok();
        Ok(process.filter(|process| process.is_alive()))
    }

    /// Like [`Self::running`], but if the process does not run, the result is an error with the end of its log.
    pub fn must_run(&self, name: &str) -> Result<Process> {
        self.running(name)?.ok_or_else(|| {
            Wait::new(format!("{name} to stay up"), Duration::ZERO)
                .log(self.log(name))
                .expired(Duration::ZERO, "it has ended".to_owned())
        })
    }

    /// Removes the record of the program with this name.
    pub fn forget(&self, name: &str) -> Result<()> {
        remove_if_there(&self.record(name))
    }

    /// All names that have a record, in order.
    pub fn names(&self) -> Result<Vec<String>> {
        names_in(&self.records, ".json")
    }

    /// All names that have a log, in order.
    pub fn logs(&self) -> Result<Vec<String>> {
        names_in(&self.logs, ".log")
    }

    fn record(&self, name: &str) -> PathBuf {
        self.records.join(format!("{name}.json"))
    }
}

fn names_in(directory: &Path, ending: &str) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("listing", directory)(error)),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(ending).map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("removing", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_distinguished_from_another_with_its_id() {
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { start_time: own.start_time + 1, ..own }.is_alive());
    }

    #[test]
    fn an_unfinished_record_is_of_no_running_program() {
        let dir = tempfile::tempdir().unwrap();
        let daemons = Daemons::new(dir.path().into(), dir.path().into());
        fs::write(dir.path().join("cut.json"), "{\"pid\":1").unwrap();
        assert_eq!(daemons.running("cut").unwrap(), None);
    }

    #[test]
    fn a_stopped_daemon_is_not_running() {
        let dir = tempfile::tempdir().unwrap();
        let daemons = Daemons::new(dir.path().into(), dir.path().into());
        let mut sleep = Command::new("sleep");
        sleep.arg("60");
        let process = daemons.start("sleeper", &sleep).unwrap();
        assert_eq!(daemons.running("sleeper").unwrap(), Some(process));
        process.kill().unwrap();
        assert_eq!(daemons.running("sleeper").unwrap(), None);
        assert_eq!(daemons.names().unwrap(), ["sleeper"]);
    }
}
