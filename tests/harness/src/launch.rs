//! A real server's programs: their files, their start in a root file system, their end.
//!
//! The root file system is only read. The server has a directory of its own, which it sees as `/run`: its settings, what it
//! stores, and its logs.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::log::tail;

pub mod ejabberd;
pub mod error;
pub mod prosody;

use error::{LaunchError, Result};

/// How long a server may take to listen, on a machine that is busy.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// Between two looks at a server that is starting; it has no other way to say that it is there.
const PAUSE: Duration = Duration::from_millis(50);
/// Most bytes of one log that an error repeats.
const LOG_IN_ERROR: usize = 12_000;

/// One program of a server.
#[derive(Debug)]
pub struct Program {
    /// The name of its log.
    pub name: &'static str,
    /// Path in the root file system, and arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(&'static str, String)>,
    /// Where it listens once it has started.
    pub listens: Vec<SocketAddr>,
    /// What its log of that name says when it has started, for one that listens too early.
    pub says: Option<(&'static str, &'static str)>,
}

/// What starts a server.
#[derive(Debug, Default)]
pub struct Launch {
    /// Files below its directory.
    pub files: Vec<(String, String)>,
    /// Its programs, each started when the one before listens.
    pub programs: Vec<Program>,
}

/// A running server, ended when dropped.
#[derive(Debug)]
pub struct Running {
    processes: Vec<Child>,
    home: PathBuf,
}

impl Launch {
    /// Starts the server on the files of `root` and waits until it listens. All that it has of its own is below `home`.
    pub fn start(&self, root: &Path, home: &Path) -> Result<Running> {
        for (name, content) in &self.files {
            let file = home.join(name);
            let directory = file.parent().unwrap_or(home);
            fs::create_dir_all(directory).map_err(LaunchError::io("making", directory))?;
            fs::write(&file, content).map_err(LaunchError::io("writing", &file))?;
        }
        let mut running = Running { processes: Vec::new(), home: home.to_owned() };
        for program in &self.programs {
            running.processes.push(spawn(program, root, home)?);
            for &address in &program.listens {
                running.wait_for(program.name, &format!("listen on {address}"), || {
                    TcpStream::connect_timeout(&address, START_TIMEOUT).is_ok()
                })?;
            }
            if let Some((log, words)) = program.says {
                running.wait_for(program.name, &format!("say {words:?}"), || {
                    let said = fs::read(home.join(log)).unwrap_or_default();
                    String::from_utf8_lossy(&said).contains(words)
                })?;
            }
        }
        Ok(running)
    }
}

impl Running {
    /// The process of the program that was started last.
    pub fn pid(&self) -> Option<u32> {
        self.processes.last().map(Child::id)
    }

    fn wait_for(&mut self, name: &str, what: &str, seen: impl Fn() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !seen() {
            let ended = self.processes.iter_mut().any(|one| !matches!(one.try_wait(), Ok(None)));
            if ended || begun.elapsed() > START_TIMEOUT {
                let why = if ended { "a program has ended" } else { "it takes too long" };
                let what = format!("{name} does not {what}: {why}");
                return Err(LaunchError::Server { what, log: self.log() });
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The ends of what its programs said.
    pub fn log(&self) -> String {
        let mut logs: Vec<PathBuf> = fs::read_dir(&self.home)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        logs.iter().map(|log| log_end(log)).collect::<Vec<_>>().join("\n")
    }
}

fn log_end(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    format!("--- end of {}\n{}", log.display(), tail(&text, LOG_IN_ERROR))
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// In a user and mount namespace of its own: no root is needed, and one root file system serves many servers at a time.
fn spawn(program: &Program, root: &Path, home: &Path) -> Result<Child> {
    let log = home.join(format!("{}.log", program.name));
    let output = File::create(&log).map_err(LaunchError::io("creating", &log))?;
    let also = output.try_clone().map_err(LaunchError::io("opening", &log))?;
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-euc"])
        .arg(
            "mount --bind \"$2\" \"$1/run\"
             mount --rbind /dev \"$1/dev\"
             root=$1
             shift 2
             exec chroot \"$root\" \"$@\"",
        )
        .args([Path::new("sh"), root, home])
        .args(&program.command)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(also)
        .spawn()
        .map_err(LaunchError::io("starting", "unshare, of Debian's util-linux"))
}
