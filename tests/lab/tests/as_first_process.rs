//! Tests `scripts/as-first-process`, in which `make test` runs. Needs root.

use std::io;
use std::path::Path;
use std::process::Command;

/// A process of an inner namespace whose parent is outside of the namespace and ends first. A client of the lab ends
/// this way when its `nsenter` is killed. The inner namespace ends only after another process has waited for that
/// process.
const ORPHAN: &str = r#"
unshare --pid --fork sleep 600 & outer=$!
children() { cat "/proc/$1/task/$1/children"; }
until [ -n "$(children "$outer")" ]; do :; done
first=$(children "$outer")
nsenter --target="${first% }" --pid sleep 600 & entered=$!
until [ -n "$(children "$entered")" ]; do :; done
kill -KILL "$entered"
wait "$entered" || true
kill -KILL ${first% }
wait "$outer" || true
echo ended
"#;

fn run(command: &[&str]) -> io::Result<(Option<i32>, String)> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new("timeout")
        .args(["60", "scripts/as-first-process"])
        .args(command)
        .current_dir(tree)
        .output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn an_orphan_does_not_keep_an_inner_namespace_from_ending() {
    assert_eq!(run(&["sh", "-euc", ORPHAN]).unwrap(), (Some(0), "ended\n".into()));
}

#[test]
fn the_exit_code_is_the_commands() {
    assert_eq!(run(&["sh", "-c", "exit 3"]).unwrap().0, Some(3));
}
