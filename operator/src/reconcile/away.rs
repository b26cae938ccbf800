//! An API server that is away. Nothing is judged then: a status could not be written, and one that is judged while the API server
//! is away and written after its return would show what only the operator could not see. Pure.

use super::problem::{Cause, Problem, Step};

/// What every pass reads. A single kind may be unreadable for a reason of its own, such as a missing permission.
const READ: [&str; 3] = ["Deployment", "Pod", "Service"];

/// Whether nothing could be read, for no reason that the API server states.
pub fn is_away(unread: &[Problem]) -> bool {
    let failed = |problem: &Problem| problem.step == Step::Read && problem.cause == Cause::Failed;
    READ.iter().all(|kind| unread.iter().any(|problem| problem.kind == *kind && failed(problem)))
}

/// The problem with a Service of that name which could not be read.
pub fn unread_service<'a>(problems: &'a [Problem], name: &str) -> Option<&'a Problem> {
    let of = |problem: &&Problem| {
        problem.step == Step::Read && problem.kind == "Service" && problem.name == name
    };
    problems.iter().find(of)
}
