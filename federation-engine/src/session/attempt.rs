//! The result of negotiating a stream that we open.

use std::time::Instant;

use bytes::BytesMut;
use s2s_proto::dialback::KeyVerdict;
use s2s_proto::reason::Failure;

/// The result of a negotiation for one purpose.
pub(super) enum Outcome {
    /// The pair may send.
    Authorized,
    /// The authoritative server has answered.
    Verified(KeyVerdict),
}

/// The negotiation of a stream that we open.
pub(super) struct Attempt {
    /// Deadline for a result.
    pub(super) deadline: Instant,
    /// Data that the peer sent in place of a header, up to a limit.
    pub(super) begin: BytesMut,
    pub(super) outcome: Option<Result<Outcome, Failure>>,
}

impl Attempt {
    /// A negotiation without a result yet.
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline, begin: BytesMut::new(), outcome: None }
    }

    /// Records the result: a success takes precedence, otherwise the first failure counts.
    pub(super) fn conclude(&mut self, outcome: Result<Outcome, Failure>) {
        match outcome {
            Ok(reached) => self.outcome = Some(Ok(reached)),
            Err(failure) => {
                self.outcome.get_or_insert(Err(failure));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_counts_and_else_the_first_failure() {
        let mut attempt = Attempt::until(Instant::now());
        let (first, second) = (Failure::ShuttingDown, Failure::ConnectionLost("negotiating"));
        attempt.conclude(Err(first.clone()));
        attempt.conclude(Err(second.clone()));
        assert!(matches!(&attempt.outcome, Some(Err(failure)) if *failure == first));
        attempt.conclude(Ok(Outcome::Authorized));
        attempt.conclude(Err(second));
        assert!(matches!(attempt.outcome, Some(Ok(Outcome::Authorized))));
    }
}
