//! Runs other programs to their end. The error of a failed program includes its output.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use harness::environment;
use harness::log::tail;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Maximum number of bytes of a failed program's output in an error.
const OUTPUT_IN_ERROR: usize = 4_000;

/// A program to run to its end.
#[derive(Debug)]
pub struct Run {
    command: Command,
    input: Option<String>,
}

impl Run {
    /// A program by name or path, with the lab's environment.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        environment::of_lab(&mut command);
        Self { command, input: None }
    }

    /// A program that downloads or compiles. It gets the user's own environment, because it needs proxies, caches and
    /// certificates.
    pub fn downloading(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        environment::of_user(&mut command);
        Self { command, input: None }
    }

    /// Like [`Self::downloading`], for a program that must not outlive this one. Otherwise its result would be useless,
    /// and it would disturb the next build.
    pub fn building(program: impl AsRef<OsStr>) -> Self {
        Self::downloading("setpriv").args(["--pdeathsig", "KILL", "--"]).arg(program)
    }

    /// One argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Several arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// One environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The directory to run in.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<std::path::Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// The program's standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<String>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Runs the program; a failure of the program is an error.
    pub fn ok(self) -> Result<()> {
        self.stdout().map(drop)
    }

    /// Runs the program and returns its standard output without leading and trailing white space.
    pub fn stdout(self) -> Result<String> {
        let line = self.line();
        let output = self.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Err(Error::Command {
            command: line,
            status: output.status,
            output: tail(&text, OUTPUT_IN_ERROR).to_owned(),
        })
    }

    /// Runs the program and parses its output.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let line = self.line();
        serde_json::from_str(&self.stdout()?).map_err(Error::json(line))
    }

    /// Runs the program and returns its status and output, also after a failure.
    pub fn output(mut self) -> Result<Output> {
        let line = self.line();
        let failed = |source| Error::Io { doing: format!("running `{line}`"), source };
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // The inputs are manifests and DNS updates. These programs read more than that before they write.
        if let (Some(text), Some(mut pipe)) = (self.input, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).map_err(failed)?;
        }
        child.wait_with_output().map_err(failed)
    }

    /// Runs the program on this terminal and returns its exit code (128 if a signal ended it).
    pub fn interactive(mut self) -> Result<u8> {
        let line = self.line();
        let status = self
            .command
            .status()
            .map_err(|source| Error::Io { doing: format!("running `{line}`"), source })?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(128))
    }

    /// The command itself, for a start in the background.
    pub fn into_command(self) -> Command {
        self.command
    }

    fn line(&self) -> String {
        std::iter::once(self.command.get_program())
            .chain(self.command.get_args())
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The path of a program, if it is on this machine. The system's directories are searched even if the `PATH` lacks
/// them.
pub fn which(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&environment::path())
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
