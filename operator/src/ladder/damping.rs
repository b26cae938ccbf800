//! A condition that depends on the network leaves True only when the failure persists: one lost packet is not an outage. A
//! condition without any evidence stays as it is for a while: a restart of the operator or of the engine is not one either.

use crds::condition::ConditionStatus;
use crds::reason::{
    AcceptedReason, AddressAssignedReason, BackendReadyReason, CertificateReadyReason,
    ConditionReason, DomainUncontestedReason, EngineReadyReason, HostResolvesReason,
    InboundReachableReason, PeersReachableReason, ResolvedRefsReason, SRVResolvesReason,
    StreamVerifiedReason, TLSVerifiedReason,
};
use jiff::{SignedDuration, Timestamp};

use super::rungs::{Source, source};
use super::verdict::Verdict;

/// A failure counts if evidence that is newer by this time shows it again.
pub const FAILURE_DAMPING_TIME: SignedDuration = SignedDuration::from_millis(1000);
/// A condition without evidence becomes Unknown after this time.
pub const ABSENCE_DAMPING_TIME: SignedDuration = SignedDuration::from_secs(20);

/// A failure counts after this time even if there is no newer evidence.
const MAX_DAMPING_TIME: SignedDuration = SignedDuration::from_mins(1);

/// What to show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Damped {
    /// The new verdict.
    Shown(Verdict),
    /// The shown verdict stays; the difference began at this time.
    Held(Verdict, Timestamp),
}

/// The times that damping depends on.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Since when newer verdicts differ from the shown one.
    pub since: Option<Timestamp>,
    /// When the evidence of the new verdict was gathered.
    pub seen_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// Decides what to show, given the verdict that is shown now for the same generation of the spec.
pub fn damp(shown: Option<Verdict>, new: Verdict, times: Times) -> Damped {
    let Times { since, seen_at, now } = times;
    // A rung below is no longer True, so the shown verdict would be stale.
    let Some(shown) =
        shown.filter(|shown| shown.status() != ConditionStatus::Unknown && !new.is_waiting())
    else {
        return Damped::Shown(new);
    };
    let (after, at) = match new.status() {
        ConditionStatus::Unknown if is_absence(new.reason) => (ABSENCE_DAMPING_TIME, now),
        ConditionStatus::False | ConditionStatus::Unknown
            if shown.status() == ConditionStatus::True && is_unsteady(&new) =>
        {
            (FAILURE_DAMPING_TIME, seen_at)
        }
        _ => return Damped::Shown(new),
    };
    match since {
        Some(since)
            if at.duration_since(since) >= after
                || now.duration_since(since) >= MAX_DAMPING_TIME =>
        {
            Damped::Shown(new)
        }
        Some(since) => Damped::Held(shown, since),
        None => Damped::Held(shown, at),
    }
}

/// A single failure may be an accident.
fn is_unsteady(new: &Verdict) -> bool {
    // A prober's failure; the other verdicts of this rung follow from what the engines have seen, or from a change.
    let is_probe = matches!(new.reason, ConditionReason::InboundReachable(_))
        && new.status() == ConditionStatus::False;
    is_probe
        || source(new.type_()) == Source::Network
        || new.reason == ConditionReason::Accepted(AcceptedReason::ApplyFailed)
}

/// The verdict says only that there is no evidence.
fn is_absence(reason: ConditionReason) -> bool {
    match reason {
        ConditionReason::Accepted(reason) => reason == AcceptedReason::Pending,
        ConditionReason::ResolvedRefs(reason) => reason == ResolvedRefsReason::EvidenceUnavailable,
        ConditionReason::CertificateReady(reason) => {
            reason == CertificateReadyReason::EvidenceUnavailable
        }
        ConditionReason::EngineReady(reason) => reason == EngineReadyReason::EvidenceUnavailable,
        ConditionReason::BackendReady(reason) => {
            matches!(reason, BackendReadyReason::Probing | BackendReadyReason::EvidenceUnavailable)
        }
        ConditionReason::AddressAssigned(reason) => {
            reason == AddressAssignedReason::EvidenceUnavailable
        }
        ConditionReason::HostResolves(reason) => reason == HostResolvesReason::ResolverUnavailable,
        ConditionReason::SRVResolves(reason) => reason == SRVResolvesReason::ResolverUnavailable,
        ConditionReason::InboundReachable(reason) => {
            reason == InboundReachableReason::EvidenceUnavailable
        }
        ConditionReason::TLSVerified(reason) => reason == TLSVerifiedReason::EvidenceUnavailable,
        ConditionReason::StreamVerified(reason) => {
            reason == StreamVerifiedReason::EvidenceUnavailable
        }
        ConditionReason::DomainUncontested(reason) => {
            reason == DomainUncontestedReason::ResolverUnavailable
        }
        ConditionReason::PeersReachable(reason) => matches!(
            reason,
            PeersReachableReason::Probing | PeersReachableReason::EvidenceUnavailable
        ),
        ConditionReason::Reconciling(_)
        | ConditionReason::Stalled(_)
        | ConditionReason::Paused(_)
        | ConditionReason::Ready(_)
        | ConditionReason::WaitingFor { .. } => false,
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

    fn times(since: Option<Timestamp>, seen_at: Timestamp, now: Timestamp) -> Times {
        Times { since, seen_at, now }
    }

    #[test]
    fn the_second_failure_counts_and_the_first_does_not() {
        let judge = |since, seen, now| damp(Some(good()), lost(), times(since, at(seen), at(now)));
        assert_eq!(judge(None, 0, 0), Damped::Held(good(), at(0)));
        assert_eq!(judge(Some(at(0)), 500, 500), Damped::Held(good(), at(0)));
        assert_eq!(judge(Some(at(0)), 2000, 2000), Damped::Shown(lost()));
        // The same answer, judged again, is no second failure.
        assert_eq!(judge(Some(at(0)), 0, 30_000), Damped::Held(good(), at(0)));
        assert_eq!(judge(Some(at(0)), 0, 60_000), Damped::Shown(lost()));
    }

    #[test]
    fn without_evidence_a_condition_stays_for_a_while() {
        let open = Verdict::new(SRVResolvesReason::ResolverUnavailable, "");
        for shown in [good(), lost()] {
            let judge =
                |since, now| damp(Some(shown.clone()), open.clone(), times(since, at(0), at(now)));
            assert_eq!(judge(None, 0), Damped::Held(shown.clone(), at(0)));
            assert_eq!(judge(Some(at(0)), 19_000), Damped::Held(shown.clone(), at(0)));
            assert_eq!(judge(Some(at(0)), 20_000), Damped::Shown(open.clone()));
        }
    }

    #[test]
    fn nothing_else_is_held() {
        let open = Verdict::new(SRVResolvesReason::ResolverUnavailable, "");
        let held_back = Verdict::new(SRVResolvesReason::PublicationHeld, "");
        let rolling = Verdict::new(EngineReadyReason::RollingOut, "");
        let available = Verdict::new(EngineReadyReason::EngineAvailable, "");
        let waiting = Verdict::waiting(ConditionType::SRVResolves, ConditionType::AddressAssigned);
        for (shown, new) in [
            (Some(good()), good()),
            (Some(lost()), good()),
            (Some(open), lost()),
            (Some(lost()), held_back),
            (None, lost()),
            (Some(available), rolling),
            (Some(good()), waiting),
        ] {
            let shown = damp(shown, new.clone(), times(None, at(0), at(0)));
            assert_eq!(shown, Damped::Shown(new));
        }
    }
}
