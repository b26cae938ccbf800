//! The steps of `make test`.

use std::path::Path;

use super::step::{Kind, Step};

/// Maximum number of concurrent steps. Most steps mainly wait, for example for a lock of cargo, a registry or a server.
pub const AT_ONCE: usize = 3;

/// The step that runs the tests that need the lab, and its profile of `.config/nextest.toml`.
pub const CLUSTER_TESTS: (&str, &str) = ("cluster tests", "cluster");
/// The step that runs the longest of them in a lab of its own, beside the others, and its profile.
pub const SECOND_LAB: (&str, &str) = ("cluster tests in a second lab", "second");
/// The step that runs all other tests, and its profile.
pub const OTHER_TESTS: (&str, &str) = ("tests", "default");
/// The file in the run's directory that lists all existing tests.
pub const LIST_OF_TESTS: &str = "tests.json";

/// All steps, in the order in which they should start. `binaries` contains the lab's programs, `run` the logs of this
/// run.
///
/// The cluster tests take longest and run one at a time in each lab, so all their prerequisites come first. The second
/// lab starts when the other tests have ended: three suites at once are too much for two cores.
pub fn steps(binaries: &Path, run: &Path) -> Vec<Step> {
    let lab = binaries.join("lab").display().to_string();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let work = |name, needs, command: &[&str]| Step {
        name,
        command: words(command),
        needs,
        after: &[],
        kind: Kind::Work,
    };
    let list = run.join(LIST_OF_TESTS).display().to_string();
    let lab_logs = run.join("lab").display().to_string();
    let second_logs = run.join("second-lab").display().to_string();
    vec![
        work("formatting", &[], &["make", "fmt"]),
        work("import circles", &[], &["make", "check-circles"]),
        work("lab parts", &[], &[&lab, "build", "--servers", "--issuers", "--monitors"]),
        work("test runner", &[], &["scripts/cargo-tool", "cargo-nextest", "--version"]),
        work("images", &[], &["scripts/images"]),
        work("test programs", &["test runner"], &["scripts/test-programs", &list]),
        work("lab up", &["lab parts", "images"], &[&lab, "up"]),
        work(
            CLUSTER_TESTS.0,
            &["lab up", "test programs"],
            &["scripts/nextest", "run", "--profile", CLUSTER_TESTS.1],
        ),
        work(
            OTHER_TESTS.0,
            &["lab parts", "test programs"],
            &["scripts/nextest", "run", "--profile", OTHER_TESTS.1],
        ),
        Step {
            after: &[OTHER_TESTS.0],
            ..work(
                SECOND_LAB.0,
                &["lab parts", "images", "test programs"],
                &["scripts/second-lab", SECOND_LAB.1, &second_logs],
            )
        },
        work("doc tests", &["test programs"], &["make", "doc-tests"]),
        work("generated files", &["test programs"], &["scripts/check-generated"]),
        work("clippy", &["test programs"], &["make", "clippy"]),
        work("chart", &["lab parts"], &["scripts/check-chart"]),
        work("manifests", &["lab parts"], &["make", "manifests"]),
        work("licences and sources", &[], &["make", "deny"]),
        Step {
            name: "lab down",
            command: words(&[&lab, "down", "--logs-to", &lab_logs]),
            needs: &[CLUSTER_TESTS.0],
            after: &[],
            kind: Kind::Cleanup { of: "lab up" },
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_step_needs_steps_that_come_before_it() {
        let mut before = BTreeSet::new();
        for step in steps(Path::new("/b"), Path::new("/r")) {
            for need in step.needs.iter().chain(step.after) {
                assert!(before.contains(need), "{} needs {need}", step.name);
            }
            assert!(before.insert(step.name), "{} occurs twice", step.name);
        }
    }
}
