//! The verdicts: evidence in, conditions out. Pure; time comes with the evidence. One file for each rung.

pub mod accepted;
pub mod address;
pub mod backend;
pub mod certificate;
pub mod damping;
pub mod engine;
pub mod host;
pub mod inbound;
pub mod peers;
pub mod ready;
pub mod refs;
pub mod refusal;
pub mod srv;
pub mod stream;
pub mod tls;
pub mod uncontested;
pub mod verdict;

use crds::condition::{ConditionStatus, ConditionType};
use crds::domain::Domain;
use federation_engine::observe::evidence::Evidence as EngineEvidence;

use self::verdict::Verdict;
use crate::evidence::Evidence;
use crate::evidence::engine::Report;
use crate::reconcile::validate::Validated;

/// What a rung is judged by.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is wanted.
    pub federation: &'a Validated,
    /// What was seen.
    pub seen: &'a Evidence,
}

impl<'a> View<'a> {
    /// What each engine pod that could be asked has seen.
    pub fn reports(self) -> impl Iterator<Item = &'a EngineEvidence> {
        self.seen.engines.iter().filter_map(|engine| match &engine.report {
            Report::Seen(evidence) => Some(evidence.as_ref()),
            Report::Waiting | Report::Unreachable(_) => None,
        })
    }
}

/// Rungs whose verdict rests on answers from the network: they leave True only when a failure lasts.
pub const NETWORK: [ConditionType; 7] = [
    ConditionType::BackendReady,
    ConditionType::HostResolves,
    ConditionType::SRVResolves,
    ConditionType::TLSVerified,
    ConditionType::StreamVerified,
    ConditionType::DomainUncontested,
    ConditionType::PeersReachable,
];

/// What a rung cannot be judged without.
pub fn needs(rung: ConditionType) -> &'static [ConditionType] {
    use ConditionType as C;
    match rung {
        C::Accepted | C::Ready | C::Reconciling | C::Stalled | C::Paused => &[],
        C::ResolvedRefs | C::AddressAssigned | C::DomainUncontested => &[C::Accepted],
        C::CertificateReady | C::EngineReady => &[C::ResolvedRefs],
        C::BackendReady | C::StreamVerified | C::PeersReachable => &[C::EngineReady],
        C::HostResolves | C::SRVResolves => &[C::AddressAssigned],
        C::InboundReachable => &[C::EngineReady, C::AddressAssigned],
        C::TLSVerified => &[C::CertificateReady, C::EngineReady],
    }
}

/// How a rung is judged.
type Check = fn(View<'_>) -> Verdict;

/// The rungs in ladder order.
const RUNGS: [(ConditionType, Check); 13] = [
    (ConditionType::Accepted, accepted::check),
    (ConditionType::ResolvedRefs, refs::check),
    (ConditionType::CertificateReady, certificate::check),
    (ConditionType::EngineReady, engine::check),
    (ConditionType::BackendReady, backend::check),
    (ConditionType::AddressAssigned, address::check),
    (ConditionType::HostResolves, host::check),
    (ConditionType::SRVResolves, srv::check),
    (ConditionType::InboundReachable, inbound::check),
    (ConditionType::TLSVerified, tls::check),
    (ConditionType::StreamVerified, stream::check),
    (ConditionType::DomainUncontested, uncontested::check),
    (ConditionType::PeersReachable, peers::check),
];

/// Judges every rung, in ladder order.
pub fn climb(view: View<'_>) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(RUNGS.len());
    for (rung, check) in RUNGS {
        let missing = needs(rung).iter().find(|need| {
            verdicts.iter().any(|v| v.type_ == **need && v.status != ConditionStatus::True)
        });
        verdicts.push(match missing {
            Some(need) => Verdict::waiting(rung, *need),
            None => check(view),
        });
    }
    verdicts
}

/// The ladder of a federation that is not accepted: nothing else can be judged.
pub fn rejected(accepted: Verdict) -> Vec<Verdict> {
    let rest = ConditionType::LADDER.into_iter().skip(1);
    std::iter::once(accepted)
        .chain(rest.map(|rung| Verdict::waiting(rung, ConditionType::Accepted)))
        .collect()
}

/// Judges a rung domain by domain, for the status of single domains.
pub fn for_domain(rung: ConditionType, view: View<'_>, domain: &Domain) -> Option<Verdict> {
    match rung {
        ConditionType::CertificateReady => Some(certificate::for_domain(view, domain)),
        ConditionType::BackendReady => Some(backend::for_domain(view, domain)),
        ConditionType::SRVResolves => Some(srv::for_domain(view, domain)),
        ConditionType::TLSVerified => Some(tls::for_domain(view, domain)),
        ConditionType::StreamVerified => Some(stream::for_domain(view, domain)),
        ConditionType::DomainUncontested => Some(uncontested::for_domain(view, domain)),
        _ => None,
    }
}

/// Whether [`for_domain`] judges this rung.
pub const fn is_by_domain(rung: ConditionType) -> bool {
    matches!(
        rung,
        ConditionType::CertificateReady
            | ConditionType::BackendReady
            | ConditionType::SRVResolves
            | ConditionType::TLSVerified
            | ConditionType::StreamVerified
            | ConditionType::DomainUncontested
    )
}

/// The verdict about all domains: the first False, else the first Unknown, else `good`.
pub(crate) fn over_domains(
    view: View<'_>,
    each: fn(View<'_>, &Domain) -> Verdict,
    good: impl FnOnce(Vec<Verdict>) -> Verdict,
) -> Verdict {
    let verdicts: Vec<Verdict> = view.federation.domains().map(|d| each(view, d)).collect();
    let first = |status| verdicts.iter().position(|verdict| verdict.status == status);
    match first(ConditionStatus::False).or_else(|| first(ConditionStatus::Unknown)) {
        Some(index) => {
            let others = verdicts.iter().filter(|v| v.status != ConditionStatus::True).count();
            let mut verdicts = verdicts;
            let mut worst = verdicts.swap_remove(index);
            if others > 1 {
                worst.message.push_str(" Other domains have trouble too; see status.domains.");
            }
            worst
        }
        None => good(verdicts),
    }
}

#[cfg(test)]
mod tests;
