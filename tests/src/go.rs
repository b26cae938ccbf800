//! Building commands from Go modules, in the way that is the same for every part.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::paths::read;

/// Builds commands from a tools module of this tree, with its committed `go.mod` and `go.sum`.
pub fn build(module: &Path, out: &Path, ldflags: &str, package: &str) -> Result<()> {
    go(&["build", "-mod=readonly", "-ldflags", ldflags, "-o"])
        .arg(out.join(package.rsplit('/').next().unwrap_or(package)))
        .arg(package)
        .dir(module)
        .ok()
}

/// Builds one command of a module that needs no changes: `package@version`.
pub fn install(out: &Path, package_at_version: &str) -> Result<()> {
    go(&["install", "-ldflags", "-s -w", package_at_version]).env("GOBIN", out).ok()
}

/// The directory of a module that a tools module requires.
pub fn module_in(tools: &Path, module: &str) -> Result<PathBuf> {
    go(&["mod", "download"]).dir(tools).arg(module).ok()?;
    go(&["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module])
        .dir(tools)
        .stdout()
        .map(PathBuf::from)
}

/// The directory of a module by version.
pub fn module(module_at_version: &str) -> Result<PathBuf> {
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
pub fn tools_text(module: &Path) -> Result<String> {
    ["go.mod", "go.sum", "tools.go"].into_iter().map(|file| read(&module.join(file))).collect()
}

fn go(args: &[&str]) -> Run {
    // CGO off gives static programs; GOFLAGS of the user must not change what is built.
    Run::new("go")
        .args(args)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-trimpath -buildvcs=false")
}

/// The version of Go, for the report and as part of the key of what is built with it.
pub fn version() -> Result<String> {
    go(&["env", "GOVERSION"]).stdout().and_then(|version| {
        if version.starts_with("go1.") {
            Ok(version)
        } else {
            Err(Error::State(format!("`go env GOVERSION` says {version:?}, not a released Go")))
        }
    })
}
