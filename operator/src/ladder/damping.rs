//! A condition that depends on the network leaves True only when the failure persists: one lost packet is not an outage.

use crds::condition::ConditionStatus;
use jiff::{SignedDuration, Timestamp};

use super::rungs::{Source, source};
use super::verdict::Verdict;

/// A failure counts if it is seen again after this time. Evidence is reused for a shorter time than this, so the two
/// verdicts use different answers.
pub const FAILURE_DAMPING_TIME: SignedDuration = SignedDuration::from_millis(1500);

/// What to show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Damped {
    /// The new verdict.
    Shown(Verdict),
    /// The shown verdict stays; the failure began at this time.
    Held(Verdict, Timestamp),
}

/// Decides from the verdict that is shown now, and since when the condition fails.
pub fn damp(
    shown: Option<Verdict>,
    new: Verdict,
    failing_since: Option<Timestamp>,
    now: Timestamp,
) -> Damped {
    let Some(shown) = shown.filter(|shown| shown.status() == ConditionStatus::True) else {
        return Damped::Shown(new);
    };
    if source(new.type_()) != Source::Network
        || new.status() == ConditionStatus::True
        // A rung below is no longer True, so a True here would be stale.
        || new.is_waiting()
    {
        return Damped::Shown(new);
    }
    match failing_since {
        Some(since) if now.duration_since(since) >= FAILURE_DAMPING_TIME => Damped::Shown(new),
        Some(since) => Damped::Held(shown, since),
        None => Damped::Held(shown, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::condition::ConditionType;
    use crds::reason::{EngineReadyReason, SRVResolvesReason};

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn good() -> Verdict {
        Verdict::new(SRVResolvesReason::RecordsMatch, "")
    }

    fn lost() -> Verdict {
        Verdict::new(SRVResolvesReason::SRVNotFound, "")
    }

    #[test]
    fn the_second_failure_counts_and_the_first_does_not() {
        let judge = |since, now| damp(Some(good()), lost(), since, now);
        assert_eq!(judge(None, at(0)), Damped::Held(good(), at(0)));
        assert_eq!(judge(Some(at(0)), at(1000)), Damped::Held(good(), at(0)));
        assert_eq!(judge(Some(at(0)), at(2000)), Damped::Shown(lost()));
    }

    #[test]
    fn nothing_else_is_held() {
        let open = Verdict::new(SRVResolvesReason::ResolverUnavailable, "");
        let rolling = Verdict::new(EngineReadyReason::RollingOut, "");
        let available = Verdict::new(EngineReadyReason::EngineAvailable, "");
        let waiting = Verdict::waiting(ConditionType::SRVResolves, ConditionType::AddressAssigned);
        for (shown, new) in [
            (Some(good()), good()),
            (Some(open), lost()),
            (None, lost()),
            (Some(available), rolling),
            (Some(good()), waiting),
        ] {
            assert_eq!(damp(shown, new.clone(), None, at(0)), Damped::Shown(new));
        }
    }
}
