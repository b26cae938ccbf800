//! Builds commands from Go modules, in the same way for every part.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::parts::UNFINISHED;
use crate::paths::read;

/// Expected memory of a build for each concurrent compiler.
const KIBIBYTES_PER_COMPILER: usize = 1_500_000;

/// What the compiler does without for the sake of time: optimisation and inlining, a third of its work.
const UNOPTIMISED: &str = "-gcflags=all=-N -l";

/// Builds a command from a tools module of this tree, with its committed `go.mod` and `go.sum`.
pub(crate) fn build(module: &Path, out: &Path, package: &str) -> Result<()> {
    build_with(&[UNOPTIMISED, "-ldflags", "-s -w"], module, out, package)
}

/// The same for a command that the tests keep busy.
pub(crate) fn build_optimised(
    module: &Path,
    out: &Path,
    ldflags: &str,
    package: &str,
) -> Result<()> {
    build_with(&["-ldflags", ldflags], module, out, package)
}

fn build_with(flags: &[&str], module: &Path, out: &Path, package: &str) -> Result<()> {
    let scratch = scratch(out)?;
    go(&["build", "-mod=readonly"])
        .args(flags)
        .arg("-o")
        .env("GOTMPDIR", scratch.path())
        .arg(out.join(package.rsplit('/').next().unwrap_or(package)))
        .arg(package)
        .dir(module)
        .ok()
}

/// Builds one command of a module that needs no changes: `package@version`.
pub(crate) fn install(out: &Path, package_at_version: &str) -> Result<()> {
    let scratch = scratch(out)?;
    go(&["install", UNOPTIMISED, "-ldflags", "-s -w", package_at_version])
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

/// The directory of a module in a given version.
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

/// The files of a tools module as text: they determine whether a built part is still current.
pub(crate) fn tools_text(module: &Path) -> Result<String> {
    let sources = ["tools.go", "main.go"].into_iter().filter(|file| module.join(file).exists());
    ["go.mod", "go.sum"].into_iter().chain(sources).map(|file| read(&module.join(file))).collect()
}

/// A directory for the linker's input, one gigabyte. It is next to the result, because `/tmp` is often in memory
/// (Debian 13).
fn scratch(out: &Path) -> Result<TempDir> {
    let cache = out.parent().unwrap_or(out);
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(cache)
        .map_err(Error::io("making a directory in", cache))
}

/// Maximum number of concurrent compilers: as many as processors and memory permit.
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
    // Without CGO, programs are static. The user's GOFLAGS must not change the build.
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
