//! The report of a run: each step, each failed test with its message, the slow tests with their reasons, the count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::junit::Test;
use super::run::Run;
use super::status::duration;
use super::step::State;

/// A test that takes longer than this is listed with its reason.
const SLOW: Duration = Duration::from_secs(20);
/// Maximum number of lines of a failed test's output in the report; the rest is in the log.
const LINES_OF_FAILURE: usize = 12;

/// The tests of a run, compared with all existing tests.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Tests that ran, each with the log that contains its whole output.
    pub ran: Vec<(Test, String)>,
    /// Every existing test, as `PROGRAM NAME`.
    pub all: BTreeSet<String>,
    /// Results that could not be determined; each counts against the run.
    pub problems: Vec<String>,
}

impl Outcome {
    fn failed(&self) -> impl Iterator<Item = &(Test, String)> {
        self.ran.iter().filter(|(test, _)| test.failure.is_some())
    }

    /// A test that was ignored, filtered out or cut off counts against the run: it proves nothing.
    fn not_run(&self) -> Vec<&String> {
        let ran: BTreeSet<String> = self.ran.iter().map(|(test, _)| title(test)).collect();
        self.all.iter().filter(|name| !ran.contains(*name)).collect()
    }

    /// True if every existing test ran and passed.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.failed().next().is_none() && self.not_run().is_empty()
    }
}

fn title(test: &Test) -> String {
    format!("{} {}", test.program, test.name)
}

/// The steps, one on each line.
pub fn steps(run: &Run) -> String {
    let mut text = String::new();
    for (step, state) in run.schedule.states() {
        let took = run.took.get(step.name).map(|took| duration(*took)).unwrap_or_default();
        let (mark, rest) = match state {
            State::Passed => ("passed", String::new()),
            State::Failed => ("FAILED", format!("  {}", run.log(step.name).display())),
            State::NotRun(cause) => ("not run", format!("  {cause}")),
            State::Waiting | State::Running => ("not run", String::new()),
        };
        let _ = writeln!(text, "  {mark:<8} {:<22} {took:>12}{rest}", step.name);
    }
    text
}

/// The tests: failures, tests that did not run, slow tests. `reasons` contains the reasons for slow tests, by name.
pub fn tests(outcome: &Outcome, reasons: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    if outcome.failed().next().is_some() {
        text.push_str("failed tests:\n");
    }
    for (test, log) in outcome.failed() {
        let _ = writeln!(text, "  {} ({})", title(test), duration(test.took));
        for line in sentence(test.failure.as_deref().unwrap_or_default()) {
            let _ = writeln!(text, "      {line}");
        }
        let _ = writeln!(text, "      log: {log}");
    }
    let not_run = outcome.not_run();
    if !not_run.is_empty() {
        let _ = writeln!(text, "tests that did not run ({}):", not_run.len());
        for name in not_run {
            let _ = writeln!(text, "  {name}");
        }
    }
    for problem in &outcome.problems {
        let _ = writeln!(text, "{problem}");
    }
    let mut slow: Vec<&Test> =
        outcome.ran.iter().map(|(test, _)| test).filter(|test| test.took > SLOW).collect();
    slow.sort_by_key(|test| std::cmp::Reverse(test.took));
    if !slow.is_empty() {
        let _ = writeln!(text, "tests that took more than {}:", duration(SLOW));
    }
    for test in slow {
        let reason =
            reasons.get(&test.name).map_or("docs/development.md gives no reason", String::as_str);
        let _ = writeln!(text, "  {:>12}  {}: {reason}", duration(test.took), title(test));
    }
    text
}

/// The output of a failed test, without the backtrace and without repetitions.
fn sentence(said: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = Vec::new();
    for line in said.lines().map(|line| line.trim_end().trim_end_matches(':')) {
        if line.trim_start().starts_with("stack backtrace") {
            break;
        }
        if !line.is_empty() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.truncate(LINES_OF_FAILURE);
    lines
}

/// The summary line with the count.
pub fn count(outcome: &Outcome) -> String {
    let failed = outcome.failed().count();
    format!("tests: {} passed, {failed} failed", outcome.ran.len() - failed)
}

/// The reasons for slow tests: the table of `docs/development.md` that begins with this line.
pub fn reasons(page: &str) -> BTreeMap<String, String> {
    const HEAD: &str = "| test | why it takes long |";
    let table = page.split_once(HEAD).map(|(_, rest)| rest).unwrap_or_default();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let names = cells.next()?;
        let why = cells.next()?;
        Some(
            names
                .split(',')
                .map(move |name| (name.trim().trim_matches('`').to_owned(), why.to_owned())),
        )
    })
    .flatten()
    .collect()
}

/// Reads the output of `cargo nextest list --message-format json`: every existing test.
pub fn all_tests(list: &Path) -> Result<BTreeSet<String>, String> {
    let unusable = |why: String| format!("the list of tests {}: {why}", list.display());
    let text = std::fs::read_to_string(list).map_err(|error| unusable(error.to_string()))?;
    let list: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    let suites = list.get("rust-suites").and_then(serde_json::Value::as_object);
    let suites = suites.ok_or_else(|| unusable("it has no rust-suites".into()))?;
    let mut all = BTreeSet::new();
    for (program, suite) in suites {
        let cases = suite.get("testcases").and_then(serde_json::Value::as_object);
        all.extend(
            cases
                .into_iter()
                .flat_map(|cases| cases.keys())
                .map(|name| format!("{program} {name}")),
        );
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, seconds: u64, failure: Option<&str>) -> (Test, String) {
        let test = Test {
            program: "tests::people".into(),
            name: name.into(),
            took: Duration::from_secs(seconds),
            failure: failure.map(str::to_owned),
        };
        (test, "/logs/tests.log".into())
    }

    fn outcome(ran: Vec<(Test, String)>, all: &[&str]) -> Outcome {
        let all = all.iter().map(|name| format!("tests::people {name}")).collect();
        Outcome { ran, all, problems: Vec::new() }
    }

    #[test]
    fn a_failure_is_notified_with_its_sentence_and_its_log() {
        let outcome = outcome(vec![test("meet", 3, Some("jdoe1 was not asked"))], &["meet"]);
        let text = tests(&outcome, &BTreeMap::new());
        assert!(
            text.contains(
                "tests::people meet (3.0 s)\n      jdoe1 was not asked\n      log: /logs/tests.log"
            ),
            "{text}"
        );
        assert_eq!(count(&outcome), "tests: 0 passed, 1 failed");
        assert!(!outcome.is_good());
    }

    #[test]
    fn a_sentence_is_said_once_and_without_the_calls_that_led_there() {
        let said =
            "panicked at x\npanicked at x:\n\nwaited in vain\nstack backtrace:\n   0: main\n";
        assert_eq!(sentence(said), ["panicked at x", "waited in vain"]);
    }

    #[test]
    fn a_test_that_did_not_run_fails_the_run_and_is_named() {
        let outcome = outcome(vec![test("meet", 3, None)], &["meet", "part"]);
        assert!(
            tests(&outcome, &BTreeMap::new()).contains("did not run (1):\n  tests::people part")
        );
        assert!(!outcome.is_good());
    }

    #[test]
    fn a_slow_test_is_listed_with_its_reason() {
        let page = "x\n| test | why it takes long |\n| --- | --- |\n| `meet`, `part` | two servers start |\n\ny\n";
        let reasons = reasons(page);
        let outcome =
            outcome(vec![test("meet", 21, None), test("other", 90, None)], &["meet", "other"]);
        let text = tests(&outcome, &reasons);
        assert!(
            text.contains("1 min 30 s  tests::people other: docs/development.md gives no reason\n"),
            "{text}"
        );
        assert!(text.contains("21 s  tests::people meet: two servers start\n"), "{text}");
        assert!(outcome.is_good());
    }
}
