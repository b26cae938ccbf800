//! What a pass means for a shortage of addresses or ports of Services.

use std::time::{Duration, Instant};

use super::problem::{Cause, Problem};
use crate::context::{Context, FederationRef};

/// Longest pause of the one federation that repeats its requests during a shortage. The others are woken in turn after it, and all
/// should notice the end within 10 s.
pub(super) const PAUSE: Duration = Duration::from_secs(4);

/// What a federation does while the cluster lacks an address or port for its Service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shortage {
    /// It repeats its requests for all of them.
    Tries,
    /// It waits until it is woken, and nothing else failed.
    Waits,
}

/// Notes whether the cluster lacks an address or port for a Service of the federation.
pub(super) fn note(
    context: &Context,
    reference: &FederationRef,
    problems: &[Problem],
    begun: Instant,
) -> Option<Shortage> {
    let refused = problems.iter().find(|problem| problem.cause == Cause::Exhausted);
    let words = refused.map(Problem::general_words);
    let times = (begun, Instant::now());
    let waits = context.shortages.note(reference, words.as_deref(), times, rand::random());
    if !waits {
        return refused.map(|_| Shortage::Tries);
    }
    problems.iter().all(|problem| problem.cause == Cause::Exhausted).then_some(Shortage::Waits)
}
