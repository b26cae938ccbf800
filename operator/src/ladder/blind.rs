//! Conditions whose objects the operator could not read. They are Unknown in the words of the API server; every other
//! condition is judged.

use crds::condition::ConditionType;
use crds::reason::{
    AddressAssignedReason, CertificateReadyReason, ConditionReason, EngineReadyReason,
    ResolvedRefsReason, TLSVerifiedReason,
};

use super::View;
use super::verdict::Verdict;
use crate::federation::names;
use crate::reconcile::problem::{Problem, Step};

/// The verdict about a rung whose objects were not read; `None` if they were.
pub fn verdict(view: View<'_>, rung: ConditionType) -> Option<Verdict> {
    let reason: ConditionReason = match rung {
        ConditionType::ResolvedRefs => ResolvedRefsReason::EvidenceUnavailable.into(),
        ConditionType::CertificateReady => CertificateReadyReason::EvidenceUnavailable.into(),
        ConditionType::EngineReady => EngineReadyReason::EvidenceUnavailable.into(),
        ConditionType::AddressAssigned => AddressAssignedReason::EvidenceUnavailable.into(),
        ConditionType::TLSVerified => TLSVerifiedReason::EvidenceUnavailable.into(),
        _ => return None,
    };
    let problem = unread(view, rung)?;
    let message = problem.message.trim_end_matches('.');
    Some(Verdict::new(reason, format!("Cannot {}: {message}. See Accepted.", problem.action())))
}

fn unread(view: View<'_>, rung: ConditionType) -> Option<&Problem> {
    let own = names::own(&view.federation.name);
    view.seen.applied.problems.iter().filter(|problem| problem.step == Step::Read).find(|problem| {
        match (rung, problem.kind.as_str()) {
            (
                ConditionType::ResolvedRefs
                | ConditionType::CertificateReady
                | ConditionType::TLSVerified,
                "Secret",
            )
            | (ConditionType::EngineReady, "Deployment" | "Pod") => true,
            (ConditionType::AddressAssigned, "Service") => problem.name == own,
            _ => false,
        }
    })
}
