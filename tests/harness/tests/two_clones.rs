//! Two clones on one machine: `claim_target` of `scripts/environment`. Cargo reuses the build of one clone as a build
//! for the other.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Runs the claim of `target` in a clone, while another run holds the lab and builds in `theirs`. Returns the exit code
/// and the message.
fn claim(clone: &Path, target: &Path, theirs: &Path) -> (Option<i32>, String) {
    let lock = clone.join("lock");
    fs::write(&lock, format!("make test in another clone\n{}\n", theirs.display())).unwrap();
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/environment");
    let output = Command::new("flock")
        .args([&lock, Path::new("bash")])
        .args(["-euc", r#". "$0"; claim_target"#])
        .arg(environment)
        .current_dir(clone)
        .env("XFED_LOCK", &lock)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("XFED_ALONE")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn clone() -> TempDir {
    let clone = TempDir::new().unwrap();
    for folder in ["crds", "federation-engine", "mkimage", "operator", "tests"] {
        fs::create_dir(clone.path().join(folder)).unwrap();
    }
    clone
}

#[test]
fn a_clone_does_not_build_where_another_run_builds() {
    let clone = clone();
    let target = clone.path().join("target");
    let (code, message) = claim(clone.path(), &target, &target);
    assert_eq!(code, Some(75), "{message}");
    assert!(message.contains("(make test in another clone)"), "{message}");
    assert!(!target.exists());
}

#[test]
fn a_clone_builds_in_a_directory_of_its_own_beside_another_run() {
    let clone = clone();
    let target = clone.path().join("target");
    assert_eq!(claim(clone.path(), &target, Path::new("/theirs")), (Some(0), String::new()));
    assert!(target.join(".clone").exists());
}
