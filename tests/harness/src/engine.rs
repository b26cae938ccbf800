//! The real engine binary as a child process, with a configuration from a test or benchmark.

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

/// Maximum time until the engine is ready on a busy machine, and until it answers a request.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// Interval of the checks of `/readyz`; the engine does not announce readiness in another way.
const PAUSE: Duration = Duration::from_millis(20);

/// The reason why no engine runs.
#[derive(Clone, thiserror::Error)]
pub enum EngineError {
    /// A file or the program could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed, with the path.
        doing: String,
        /// The system error.
        source: Arc<io::Error>,
    },
    /// The engine exited without a request.
    #[error("the engine exited with {status}:\n{log}")]
    Ended {
        /// The exit status.
        status: ExitStatus,
        /// The log.
        log: String,
    },
    /// The engine runs but is not ready.
    #[error(
        "the engine was not ready within {START_TIMEOUT:?}; last seen at /readyz: {seen}\n{log}"
    )]
    NotReady {
        /// The last answer.
        seen: String,
        /// The log.
        log: String,
    },
}

s2s_peer::debug_as_sentence!(EngineError);

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let doing = format!("{doing} {}", path.display());
    move |source| EngineError::Io { doing, source: Arc::new(source) }
}

/// A running engine, stopped when dropped.
#[derive(Debug)]
pub struct Engine {
    process: Child,
    log: PathBuf,
}

impl Engine {
    /// Starts `binary` with that configuration (JSON is YAML), and waits until `admin` reports that it is ready. Writes
    /// the configuration and the log to `directory`.
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

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Requests the shutdown of the engine (SIGTERM).
    pub fn terminate(&self) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(kill_process(pid, Signal::TERM)?)
    }

    /// The exit status; `None` if the engine still runs after that time.
    pub fn ended_within(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            let ended = self.process.try_wait()?;
            if ended.is_some() || begun.elapsed() > timeout {
                return Ok(ended);
            }
            thread::sleep(PAUSE);
        }
    }

    /// The log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of the engine\n{}", self.log());
        }
        // The engine may have exited already.
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

/// The response of an HTTP server, head and body.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut tcp = TcpStream::connect_timeout(&address, START_TIMEOUT)?;
    tcp.set_read_timeout(Some(START_TIMEOUT))?;
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer)?;
    Ok(answer)
}
