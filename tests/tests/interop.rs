//! The interoperability matrix: the engine alone against real servers, every cell in both directions. What must come of a cell
//! is computed from its settings (`tests::interop::expect`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tests::interop::error::InteropError;
use tests::interop::release::Release;
use tests::interop::{matrix, sandbox};
use tests::parts;
use tests::paths::Paths;

/// The engine's program, built once in the profile and target directory of this test.
fn engine() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().unwrap_or_default();
        let profile = own.ancestors().nth(2).unwrap_or(Path::new("."));
        let target = profile.parent().unwrap_or(Path::new("."));
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "federation-engine", "--target-dir"]);
        cargo.arg(target);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.status().is_ok_and(|status| status.success());
        assert!(built, "the engine does not compile");
        profile.join("federation-engine")
    })
}

/// Runs the matrix with that server: outside, builds what it needs and goes inside; inside, runs it.
fn federates(test: &str, release: Release) -> Result<(), InteropError> {
    let Some(engine) = sandbox::engine() else {
        parts::build_only(&Paths::from_env()?, &[release.part()])?;
        let passed = sandbox::enter(test, engine())?;
        assert!(passed, "see the table above");
        return Ok(());
    };
    let mut table = String::new();
    let mut logs = String::new();
    for (cell, result) in matrix::run(release, &engine) {
        let _ = writeln!(table, "{release:?}: {}", cell.name);
        match result {
            Ok(result) => {
                for (direction, (expected, seen)) in
                    [("outbound", &result.outbound), ("inbound", &result.inbound)]
                {
                    let mark = if seen.agrees_with(*expected) { "ok   " } else { "WRONG" };
                    let _ =
                        writeln!(table, "  {mark} {direction:<8} expected {expected}, seen {seen}");
                }
                let _ = writeln!(table, "        {:?}", result.took);
                if !result.agrees() {
                    let _ = writeln!(logs, "=== {release:?}: {}\n{}", cell.name, result.log);
                }
            }
            Err(error) => {
                let _ = writeln!(table, "  WRONG no result");
                let _ = writeln!(logs, "=== {release:?}: {}\n{error}", cell.name);
            }
        }
    }
    eprint!("{table}{logs}");
    assert!(logs.is_empty(), "see above");
    Ok(())
}

#[test]
fn prosody_0_12() {
    federates("prosody_0_12", Release::Prosody0_12).unwrap();
}

#[test]
fn prosody_13() {
    federates("prosody_13", Release::Prosody13).unwrap();
}

#[test]
fn ejabberd_23() {
    federates("ejabberd_23", Release::Ejabberd23).unwrap();
}

#[test]
fn ejabberd_24() {
    federates("ejabberd_24", Release::Ejabberd24).unwrap();
}

#[test]
fn jabberd2() {
    federates("jabberd2", Release::Jabberd2).unwrap();
}
