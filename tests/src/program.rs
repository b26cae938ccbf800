//! The product's programs, built for a test in its own profile and target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// Builds a program of the workspace, which takes a moment at most when it is built, and gives its path.
pub fn build(package: &str, binary: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(Error::io("finding", "this program"))?;
    // target/PROFILE/deps/TEST
    let profile = own.ancestors().nth(2).unwrap_or(Path::new("."));
    let target = profile.parent().unwrap_or(Path::new("."));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package", package, "--bin", binary]);
    cargo.arg("--target-dir").arg(target);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.status().map_err(Error::io("running", "cargo"))?;
    if !status.success() {
        return Err(Error::State(format!("{binary} does not compile")));
    }
    Ok(profile.join(binary))
}
