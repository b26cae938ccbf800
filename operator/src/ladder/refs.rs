//! `ResolvedRefs`: everything that the spec refers to exists and is usable.

use crds::reason::ResolvedRefsReason;

use super::View;
use super::verdict::Verdict;

/// Judges the references; the first problem in the order of the spec is named.
pub fn check(view: View<'_>) -> Verdict {
    let problems = &view.seen.references.problems;
    match problems.split_first() {
        None => Verdict::new(
            ResolvedRefsReason::ResolvedRefs,
            "Every referenced Secret and ConfigMap exists and is valid.",
        ),
        Some((first, [])) => Verdict::new(first.reason, first.message.clone()),
        Some((first, rest)) => {
            let others: Vec<&str> = rest.iter().map(|problem| problem.message.as_str()).collect();
            Verdict::new(first.reason, format!("{}; also: {}", first.message, others.join("; ")))
        }
    }
}
