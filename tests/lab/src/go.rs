//! Building commands from Go modules, in the way that is the same for every part.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::parts::UNFINISHED;
use crate::paths::read;

/// Memory that a build is expected to use for each compiler that runs at the same time.
const KIBIBYTES_PER_COMPILER: usize = 1_500_000;

/// Builds commands from a tools module of this tree, with its committed `go.mod` and `go.sum`.
pub(crate) fn build(module: &Path, out: &Path, ldflags: &str, package: &str) -> Result<()> {
    let scratch = scratch(out)?;
    go(&["build", "-mod=readonly", "-ldflags", ldflags, "-o"])
        .env("GOTMPDIR", scratch.path())
        .arg(out.join(package.rsplit('/').next().unwrap_or(package)))
        .arg(package)
        .dir(module)
        .ok()
}

/// Builds one command of a module that needs no changes: `package@version`.
pub(crate) fn install(out: &Path, package_at_version: &str) -> Result<()> {
    let scratch = scratch(out)?;
    go(&["install", "-ldflags", "-s -w", package_at_version])
        .env("GOTMPDIR", scratch.path())
        .env("GOBIN", out)
        .ok()
}

/// The directory of a module that a tools module requires.
pub(crate) fn module_in(tools: &Path, module: &str) -> Result<PathBuf> {
    go(&["mod", "download"]).dir(tools).arg(module).ok()?;
    go(&["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module])
        .dir(tools)
        .stdout()
        .map(PathBuf::from)
}

/// The directory of a module by version.
pub(crate) fn module(module_at_version: &str) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Download {
        #[serde(rename = "Dir")]
        dir: PathBuf,
    }
    go(&["mod", "download", "-json", module_at_version])
        .dir(std::env::temp_dir())
        .json()
        .map(|Download { dir }| dir)
}

/// What a tools module is made of: its files decide whether a built part is still the right one.
pub(crate) fn tools_text(module: &Path) -> Result<String> {
    ["go.mod", "go.sum", "tools.go"].into_iter().map(|file| read(&module.join(file))).collect()
}

/// For what the linker is given, a gigabyte: beside the result, since `/tmp` is often in memory (Debian 13).
fn scratch(out: &Path) -> Result<TempDir> {
    let cache = out.parent().unwrap_or(out);
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(cache)
        .map_err(Error::io("making a directory in", cache))
}

/// How many compilers may run at a time: as many as there are processors and memory for.
fn jobs() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    jobs_for(processors, &memory)
}

fn jobs_for(processors: usize, memory: &str) -> usize {
    let kibibytes = memory.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok()
    });
    let fitting: usize = kibibytes.map_or(processors, |size: usize| size / KIBIBYTES_PER_COMPILER);
    processors.min(fitting).max(1)
}

fn go(args: &[&str]) -> Run {
    // CGO off gives static programs; GOFLAGS of the user must not change what is built.
    Run::building("go")
        .args(args)
        .env("GOMAXPROCS", jobs().to_string())
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-trimpath -buildvcs=false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_as_many_as_fit_into_memory() {
        assert_eq!(jobs_for(16, "MemTotal: 8000000 kB\nMemAvailable:    6100000 kB\n"), 4);
        assert_eq!(jobs_for(2, "MemAvailable: 24000000 kB\n"), 2);
        assert_eq!(jobs_for(4, "MemAvailable: 500000 kB\n"), 1);
        assert_eq!(jobs_for(4, ""), 4);
    }
}
