//! A rung that rests on the network leaves True only when the failure lasts: one lost packet is no outage.

use crds::condition::ConditionStatus;
use jiff::{SignedDuration, Timestamp};

use super::NETWORK;
use super::verdict::Verdict;

/// A failure that is seen again after this time counts. It is longer than the time in which one piece of evidence is
/// judged again, so both judgements rest on answers of their own.
pub const LASTING: SignedDuration = SignedDuration::from_millis(1500);

/// What to show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Damped {
    /// The new verdict.
    Shown,
    /// The old condition stays; the failure began at this time.
    Held(Timestamp),
}

/// Decides by what is shown now, and since when the rung fails.
pub fn damp(
    shown: Option<ConditionStatus>,
    new: &Verdict,
    failing_since: Option<Timestamp>,
    now: Timestamp,
) -> Damped {
    if !NETWORK.contains(&new.type_)
        || shown != Some(ConditionStatus::True)
        || new.status == ConditionStatus::True
        // A rung below is gone: a True would be stale.
        || new.is_waiting()
    {
        return Damped::Shown;
    }
    match failing_since {
        Some(since) if now.duration_since(since) >= LASTING => Damped::Shown,
        Some(since) => Damped::Held(since),
        None => Damped::Held(now),
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

    #[test]
    fn the_second_failure_counts_and_the_first_does_not() {
        let lost = Verdict::new(SRVResolvesReason::SRVNotFound, "");
        let shown = Some(ConditionStatus::True);
        assert_eq!(damp(shown, &lost, None, at(0)), Damped::Held(at(0)));
        assert_eq!(damp(shown, &lost, Some(at(0)), at(1000)), Damped::Held(at(0)));
        assert_eq!(damp(shown, &lost, Some(at(0)), at(2000)), Damped::Shown);
    }

    #[test]
    fn nothing_else_is_held() {
        let found = Verdict::new(SRVResolvesReason::RecordsMatch, "");
        let lost = Verdict::new(SRVResolvesReason::SRVNotFound, "");
        let rolling = Verdict::new(EngineReadyReason::RollingOut, "");
        let waiting = Verdict::waiting(ConditionType::SRVResolves, ConditionType::AddressAssigned);
        let shown = Some(ConditionStatus::True);
        assert_eq!(damp(shown, &found, None, at(0)), Damped::Shown);
        assert_eq!(damp(Some(ConditionStatus::Unknown), &lost, None, at(0)), Damped::Shown);
        assert_eq!(damp(None, &lost, None, at(0)), Damped::Shown);
        assert_eq!(damp(shown, &rolling, None, at(0)), Damped::Shown);
        assert_eq!(damp(shown, &waiting, None, at(0)), Damped::Shown);
    }
}
