//! The real engine binary as a child process, with a configuration that a test or benchmark wrote.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::environment;

/// How long it may take to be ready on a busy machine, and to answer a request.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// Between two looks at `/readyz`; readiness has no other announcement.
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no running engine.
#[derive(Clone, thiserror::Error)]
pub enum EngineError {
    /// A file or the program could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// It ended by itself.
    #[error("the engine exited with {status}:\n{log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it said.
        log: String,
    },
    /// It runs and is not ready.
    #[error(
        "the engine was not ready within {START_TIMEOUT:?}; last seen at /readyz: {seen}\n{log}"
    )]
    NotReady {
        /// The last answer.
        seen: String,
        /// What it said.
        log: String,
    },
}

s2s_peer::debug_as_sentence!(EngineError);

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let doing = format!("{doing} {}", path.display());
    move |source| EngineError::Io { doing, source: Arc::new(source) }
}

/// A running engine, ended when dropped.
#[derive(Debug)]
pub struct Engine {
    process: Child,
    log: PathBuf,
}

impl Engine {
    /// Starts `binary` with that configuration (JSON is YAML), which is written into `directory` with the log, and waits
    /// until `admin` says that it is ready.
    pub fn start(
        binary: &Path,
        directory: &Path,
        config: &serde_json::Value,
        admin: SocketAddr,
    ) -> Result<Self, EngineError> {
        let file = directory.join("engine.yaml");
        fs::write(&file, format!("{config:#}")).map_err(failed("writing", &file))?;
        let log = directory.join("engine.log");
        let process = spawn(binary, &file, &log)?;
        let mut engine = Self { process, log };
        engine.wait_until_ready(admin)?;
        Ok(engine)
    }

    fn wait_until_ready(&mut self, admin: SocketAddr) -> Result<(), EngineError> {
        let begun = Instant::now();
        loop {
            let seen = match get(admin, "/readyz") {
                Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => return Ok(()),
                Ok(answer) => answer,
                Err(error) => error.to_string(),
            };
            let ended = self.process.try_wait().map_err(failed("looking at", Path::new("it")))?;
            if let Some(status) = ended {
                return Err(EngineError::Ended { status, log: self.log() });
            }
            if begun.elapsed() > START_TIMEOUT {
                return Err(EngineError::NotReady { seen, log: self.log() });
            }
            thread::sleep(PAUSE);
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells it to end (SIGTERM).
    pub fn terminate(&self) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(kill_process(pid, Signal::TERM)?)
    }

    /// How it ended; `None` if it still runs after that time.
    pub fn ended_within(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            let ended = self.process.try_wait()?;
            if ended.is_some() || begun.elapsed() > patience {
                return Ok(ended);
            }
            thread::sleep(PAUSE);
        }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of the engine\n{}", self.log());
        }
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(binary: &Path, config: &Path, log: &Path) -> Result<Child, EngineError> {
    let output = File::create(log).map_err(failed("creating", log))?;
    let also = output.try_clone().map_err(failed("opening", log))?;
    let mut command = Command::new(binary);
    environment::strip(&mut command)
        .arg("--config")
        .arg(config)
        .args(["--log-format", "text"])
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(also)
        .spawn()
        .map_err(failed("starting", binary))
}

/// What an HTTP server answers, head and body.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut tcp = TcpStream::connect_timeout(&address, START_TIMEOUT)?;
    tcp.set_read_timeout(Some(START_TIMEOUT))?;
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer)?;
    Ok(answer)
}
