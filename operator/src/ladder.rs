//! The verdicts: evidence in, conditions out. Pure code; the time is part of the evidence. One file for each rung.

pub mod accepted;
pub mod address;
pub mod backend;
pub mod blind;
pub mod certificate;
pub mod claims;
mod contact;
pub mod damping;
pub mod engine;
pub mod host;
pub mod inbound;
mod issuance;
mod memory;
mod outbound;
pub mod outside;
pub mod peers;
pub mod proxy;
pub mod ready;
pub mod refs;
pub mod refusal;
pub mod rungs;
pub mod side;
pub mod srv;
pub mod stream;
pub mod tls;
pub mod uncontested;
pub mod verdict;
pub mod view;

use crds::condition::{ConditionStatus, ConditionType};
use crds::reason::{AcceptedReason, ConditionReason, DomainUncontestedReason, EngineReadyReason};

use self::rungs::{Check, RUNGS, Rung};
use self::verdict::Verdict;

pub use self::view::View;

/// The verdicts about one rung.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict about the federation.
    pub verdict: Verdict,
    /// The verdict about each domain, in the order of the spec; empty if the rung is not judged domain by domain.
    pub domains: Vec<Verdict>,
}

/// Judges every rung, in ladder order.
pub fn climb(view: View<'_>) -> Vec<Judgement> {
    let mut judged: Vec<Judgement> = Vec::with_capacity(RUNGS.len());
    for rung in &RUNGS {
        let missing = rung.needs.iter().find(|need| {
            judged.iter().map(|below| &below.verdict).any(|verdict| {
                verdict.type_() == **need
                    && verdict.status() != ConditionStatus::True
                    && !still_serves(view, verdict)
            })
        });
        judged.push(match missing {
            Some(need) => wait(view, rung, *need),
            None => judge(view, rung),
        });
    }
    judged
}

/// Pods that serve can be judged even if `EngineReady` is False because of others. Without memory they do not serve.
fn still_serves(view: View<'_>, verdict: &Verdict) -> bool {
    let pods = &view.seen.cluster.pods;
    verdict.type_() == ConditionType::EngineReady
        && verdict.status() == ConditionStatus::False
        && verdict.reason != EngineReadyReason::MemoryExhausted.into()
        && view.seen.cluster.workload.as_ref().is_some_and(|workload| workload.ready > 0)
        && pods.iter().any(|pod| pod.ready)
}

/// Every domain waits for the same condition as the rung.
fn wait(view: View<'_>, rung: &Rung, need: ConditionType) -> Judgement {
    everywhere(view, rung, Verdict::waiting(rung.type_, need))
}

/// The same verdict about the federation and about each domain.
fn everywhere(view: View<'_>, rung: &Rung, verdict: Verdict) -> Judgement {
    let domains = match rung.check {
        Check::Federation(_) => Vec::new(),
        Check::Domains { .. } => view.federation.domains().map(|_| verdict.clone()).collect(),
    };
    Judgement { verdict, domains }
}

fn judge(view: View<'_>, rung: &Rung) -> Judgement {
    if let Some(verdict) = blind::verdict(view, rung.type_) {
        return everywhere(view, rung, verdict);
    }
    match rung.check {
        Check::Federation(check) => Judgement { verdict: check(view), domains: Vec::new() },
        Check::Domains { each, every } => {
            let domains: Vec<Verdict> =
                view.federation.domains().map(|domain| each(view, domain)).collect();
            let verdict = worst(&domains).unwrap_or_else(|| every(view, &domains));
            Judgement { verdict, domains }
        }
    }
}

/// The first False of the domains' verdicts, else the first Unknown.
fn worst(domains: &[Verdict]) -> Option<Verdict> {
    let first = |status| domains.iter().find(|verdict| verdict.status() == status);
    let mut worst =
        first(ConditionStatus::False).or_else(|| first(ConditionStatus::Unknown))?.clone();
    if domains.iter().filter(|verdict| verdict.status() != ConditionStatus::True).count() > 1 {
        worst.message.push_str(" Other domains are affected as well; see status.domains.");
    }
    Some(worst)
}

/// The ladder of a federation that is not accepted: no other rung can be judged, except that an older federation contests the
/// domain.
pub fn rejected(accepted: Verdict) -> Vec<Verdict> {
    let is_contested = accepted.reason == ConditionReason::Accepted(AcceptedReason::DomainConflict);
    let contested = is_contested
        .then(|| Verdict::new(DomainUncontestedReason::DomainConflict, accepted.message.clone()));
    let rest = RUNGS.iter().skip(1).map(|rung| match &contested {
        Some(contested) if rung.type_ == ConditionType::DomainUncontested => contested.clone(),
        _ => Verdict::waiting(rung.type_, ConditionType::Accepted),
    });
    std::iter::once(accepted).chain(rest).collect()
}

#[cfg(test)]
mod tests;
