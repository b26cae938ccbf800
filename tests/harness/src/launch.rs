//! The programs of a real server: their files, their start in a root file system, and their shutdown.
//!
//! The server only reads the root file system. It has its own directory, mounted as `/run`, for its settings, its data
//! and its logs.

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

/// Maximum time until a server listens, on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// Interval of the checks of a starting server, which cannot announce in another way that it is ready.
const PAUSE: Duration = Duration::from_millis(50);
/// Maximum bytes of one log that an error quotes.
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
    /// The addresses on which it listens after its start.
    pub listens: Vec<SocketAddr>,
    /// For a program that listens before it is ready: the name of a log, and the text in it that shows that the program
    /// is ready.
    pub says: Option<(&'static str, &'static str)>,
}

/// The files and programs of a server, for its start.
#[derive(Debug, Default)]
pub struct Launch {
    /// Files below the server's directory.
    pub files: Vec<(String, String)>,
    /// Its programs, each started after the previous one listens.
    pub programs: Vec<Program>,
}

/// A running server, stopped when dropped.
#[derive(Debug)]
pub struct Running {
    processes: Vec<Child>,
    home: PathBuf,
}

impl Launch {
    /// Starts the server on the files of `root` and waits until it listens. All files of its own are below `home`.
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
    /// The process id of the program that was started last.
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

    /// The last lines of the logs of its programs.
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
            // The program may have exited already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts a program in its own user and mount namespace. It needs no root, and one root file system serves many servers
/// at a time.
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
