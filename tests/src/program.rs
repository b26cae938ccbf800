//! The product's programs, built for a test in its own profile and target directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{Error, Result};

/// The engine, built once for each test program.
///
/// # Panics
/// When it does not compile: a test that has no engine must fail.
pub fn engine() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = build("federation-engine", "federation-engine");
        assert!(built.is_ok(), "{built:?}");
        built.unwrap_or_default()
    })
}

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
    // What cargo tells a test about the test's own package would make build scripts run again, and all that depends on
    // them be compiled again.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_", "CARGO_CRATE_"];
        if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().map_err(Error::io("running", "cargo"))?;
    if !status.success() {
        return Err(Error::State(format!("{binary} does not compile")));
    }
    Ok(profile.join(binary))
}
