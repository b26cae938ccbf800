//! The programs of the product: built for a test in its own profile and target directory, or built before the whole
//! run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The reason why no program is available.
#[derive(thiserror::Error)]
pub enum ProgramError {
    /// This program or cargo could not be run.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The system error.
        source: io::Error,
    },
    /// The program was not built for this run.
    #[error(
        "{BINARIES} is set and {binary} does not exist. Build it first, or unset {BINARIES}.",
        binary = .0.display()
    )]
    Missing(PathBuf),
    /// The program does not compile.
    #[error("{0} does not compile")]
    Compilation(String),
}

s2s_peer::debug_as_sentence!(ProgramError);

type Result<T> = std::result::Result<T, ProgramError>;

/// The variable that names a directory of binaries that were built for this run. If it is set, nothing is built: if
/// each test is its own process, cargo would run once for each test.
pub const BINARIES: &str = "XFED_BINARIES";

/// The engine, built once for each test program.
///
/// # Panics
/// Panics if no engine is available: a test without an engine must fail.
pub fn engine() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = build("federation-engine", "federation-engine");
        assert!(
            built.is_ok(),
            "{}",
            built.err().map(|error| error.to_string()).unwrap_or_default()
        );
        built.unwrap_or_default()
    })
}

/// The path of a program of the workspace. Takes it from [`BINARIES`], or builds it; an existing build takes a moment
/// at most.
pub fn build(package: &str, binary: &str) -> Result<PathBuf> {
    match std::env::var_os(BINARIES) {
        Some(directory) => built(&PathBuf::from(directory).join(binary)),
        None => build_now(package, binary),
    }
}

/// The same path, if the file exists.
fn built(binary: &Path) -> Result<PathBuf> {
    if binary.is_file() {
        return Ok(binary.to_owned());
    }
    Err(ProgramError::Missing(binary.to_owned()))
}

fn build_now(package: &str, binary: &str) -> Result<PathBuf> {
    let failed = |doing| move |source| ProgramError::Io { doing, source };
    let own = std::env::current_exe().map_err(failed("finding this program"))?;
    // target/PROFILE/deps/TEST
    let profile = own.ancestors().nth(2).unwrap_or(Path::new("."));
    let target = profile.parent().unwrap_or(Path::new("."));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package", package, "--bin", binary]);
    cargo.arg("--target-dir").arg(target);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // Cargo sets variables about the test's own package. They would make build scripts run again, and all dependents
    // compile again.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_", "CARGO_CRATE_"];
        if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().map_err(failed("running cargo"))?;
    if !status.success() {
        return Err(ProgramError::Compilation(binary.to_owned()));
    }
    Ok(profile.join(binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_was_not_built_is_named_with_the_remedy() {
        let missing = built(Path::new("/nonexistent/federation-engine")).unwrap_err().to_string();
        assert!(missing.contains("XFED_BINARIES is set"), "{missing}");
        assert!(missing.contains("/nonexistent/federation-engine does not exist"), "{missing}");
    }
}
