//! The report of a run: every fault with its message and its times.

use std::fmt::Write as _;
use std::time::Duration;

use super::run::Outcome;

/// Length of a line about a change.
const LINE: usize = 200;

/// One paragraph for each fault.
pub fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let Outcome { fault, shown, after, recovered, others, problems, history, .. } = outcome;
        let expected = fault.expected;
        let _ = writeln!(
            text,
            "\n{}: {}={} {}\n  named after {:.1} s, as before {:.1} s after the repair",
            fault.name,
            expected.condition,
            expected.status,
            expected.reason,
            after.as_secs_f64(),
            recovered.as_secs_f64()
        );
        if let Some(shown) = shown {
            let _ = writeln!(text, "  {}", shown.message);
        }
        for other in others {
            let _ = writeln!(text, "  also: {other}");
        }
        for problem in problems {
            let _ = writeln!(text, "  PROBLEM: {problem}");
        }
        for change in history.iter().filter(|_| !problems.is_empty()) {
            let _ = writeln!(text, "    then {}", change.chars().take(LINE).collect::<String>());
        }
    }
    let mut times: Vec<Duration> =
        outcomes.iter().filter(|one| one.shown.is_some()).map(|one| one.after).collect();
    times.sort_unstable();
    if let (Some(median), Some(longest)) = (times.get(times.len() / 2), times.last()) {
        let _ = writeln!(
            text,
            "\n{} faults; {} named; median {:.1} s, longest {:.1} s",
            outcomes.len(),
            times.len(),
            median.as_secs_f64(),
            longest.as_secs_f64()
        );
    }
    text
}
