//! The engine's program as tests run it, built in the profile and target directory of the test that asks.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program, and says where it is.
pub fn build() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let missing = || io::Error::other(format!("{} is not in a target directory", own.display()));
    let profile = own.ancestors().nth(2).ok_or_else(missing)?;
    let target = profile.parent().ok_or_else(missing)?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "federation-engine", "--target-dir"]);
    cargo.arg(target);
    if profile.file_name() == Some("release".as_ref()) {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err(io::Error::other("the engine does not compile"));
    }
    Ok(Path::new(profile).join("federation-engine"))
}
