//! `Ready`, `Reconciling` and `Stalled`: the summary of the rungs.

use crds::condition::{ConditionStatus, ConditionType};
use crds::reason::{
    AcceptedReason, CertificateReadyReason, ConditionReason, InboundReachableReason, ReadyReason,
    ReconcilingReason, StalledReason,
};

use super::verdict::Verdict;

/// The only evidence from outside is a user's report.
const REPORTED: ConditionReason =
    ConditionReason::InboundReachable(InboundReachableReason::ProbeReported);

/// What gates `Ready` in addition to the rungs.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// `verification.requireOutsideEvidence`.
    pub require_outside_evidence: bool,
    /// Why a required peer is not reachable.
    pub required_peer: Option<String>,
    /// Pods are being replaced.
    pub rolling_out: bool,
    /// Why the federation does not get the current engine pods yet.
    pub rollout_waits: Option<String>,
    /// The pods of the current revision have not become ready within the Deployment's progress deadline.
    pub rollout_stuck: bool,
}

/// Judges the federation as a whole. `PeersReachable` gates only for required peers: a remote outage is not our failure.
pub fn check(rungs: &[Verdict], gates: &Gates) -> Verdict {
    let gating = || rungs.iter().filter(|rung| rung.type_() != ConditionType::PeersReachable);
    if let Some(failed) = gating().find(|rung| rung.status() == ConditionStatus::False) {
        return Verdict::new(ReadyReason::Failing(failed.type_()), failed.message.clone())
            .about(failed.reason);
    }
    let open = gating().find(|rung| {
        rung.status() == ConditionStatus::Unknown && rung.type_() != ConditionType::InboundReachable
    });
    if let Some(open) = open {
        return Verdict::new(
            ReadyReason::Progressing,
            format!("{} is Unknown: {}", open.type_(), open.message),
        )
        .about(open.reason);
    }
    if let Some(message) = &gates.required_peer {
        let peers = rungs.iter().find(|rung| rung.type_() == ConditionType::PeersReachable);
        let verdict =
            Verdict::new(ReadyReason::Failing(ConditionType::PeersReachable), message.clone());
        return match peers {
            Some(peers) => verdict.about(peers.reason),
            None => verdict,
        };
    }
    let unverified = gating().find(|rung| rung.status() == ConditionStatus::Unknown);
    match unverified {
        Some(rung) if gates.require_outside_evidence => Verdict::new(
            ReadyReason::Unverified,
            format!(
                "All checks from inside the cluster pass, but spec.verification.requireOutsideEvidence also requires evidence from outside. {}",
                rung.message
            ),
        )
        .about(rung.reason),
        Some(rung) => Verdict::new(
            ReadyReason::FederatedUnverified,
            format!("All checks from inside the cluster pass. {}", rung.message),
        ),
        None if gating().any(|rung| rung.reason == REPORTED) => Verdict::new(
            ReadyReason::Federated,
            "All checks pass. That servers outside the cluster reach this federation is what a user reported; see InboundReachable.",
        ),
        None => Verdict::new(
            ReadyReason::Federated,
            "All checks pass, and servers outside the cluster reach this federation.",
        ),
    }
}

/// `Reconciling`, while something is still changing.
pub fn reconciling(rungs: &[Verdict], gates: &Gates, ready: &Verdict) -> Option<Verdict> {
    if stalled(rungs, gates).is_some() {
        return None;
    }
    let refused = rungs.iter().find(|rung| {
        rung.reason == ConditionReason::Accepted(AcceptedReason::ApplyFailed)
            || rung.reason == ConditionReason::Accepted(AcceptedReason::Pending)
    });
    if let Some(refused) = refused {
        return Some(Verdict::new(ReconcilingReason::Applying, refused.message.clone()));
    }
    if let Some(waits) = &gates.rollout_waits {
        return Some(Verdict::new(ReconcilingReason::RollingOut, waits.clone()));
    }
    if gates.rolling_out {
        return Some(Verdict::new(
            ReconcilingReason::RollingOut,
            "Engine pods are being replaced.",
        ));
    }
    (ready.status() != ConditionStatus::True).then(|| {
        Verdict::new(ReconcilingReason::Verifying, format!("Ready is {}.", ready.status()))
    })
}

/// `Stalled`, when nothing will change until the user acts.
pub fn stalled(rungs: &[Verdict], gates: &Gates) -> Option<Verdict> {
    needs_action(rungs).or_else(|| {
        let engine = rungs.iter().find(|rung| rung.type_() == ConditionType::EngineReady)?;
        let stuck = gates.rollout_stuck && engine.status() == ConditionStatus::False;
        stuck.then(|| Verdict::new(StalledReason::RolloutStuck, engine.message.clone()))
    })
}

fn needs_action(rungs: &[Verdict]) -> Option<Verdict> {
    let failed = rungs.iter().find(|rung| rung.status() == ConditionStatus::False)?;
    let reason = match failed.reason {
        ConditionReason::Accepted(AcceptedReason::InvalidSpec) => StalledReason::InvalidSpec,
        // The operator retries by itself, and the cause may end by itself.
        ConditionReason::Accepted(AcceptedReason::ApplyFailed)
        | ConditionReason::CertificateReady(CertificateReadyReason::Issuing) => return None,
        ConditionReason::Accepted(_)
        | ConditionReason::ResolvedRefs(_)
        | ConditionReason::CertificateReady(_) => StalledReason::NeedsUserAction,
        _ => return None,
    };
    Some(Verdict::new(reason, failed.message.clone()))
}
