//! The ladder as one table: each rung is one row, in the order in which the rungs are judged.

use crds::condition::ConditionType;
use crds::domain::Domain;

use super::verdict::Verdict;
use super::{
    View, accepted, address, backend, certificate, engine, host, inbound, peers, refs, srv, stream,
    tls, uncontested,
};

/// How a rung is judged.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// Once, for the federation.
    Federation(fn(View<'_>) -> Verdict),
    /// Domain by domain: the worst verdict is the federation's.
    Domains {
        /// The verdict about one domain.
        each: fn(View<'_>, &Domain) -> Verdict,
        /// The federation's verdict when every domain's is True.
        every: fn(View<'_>, &[Verdict]) -> Verdict,
    },
}

/// The kind of evidence that a rung's verdict is based on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// Objects in the cluster: every verdict is shown immediately.
    Cluster,
    /// Answers from the network: the rung leaves True only when a failure persists; see [`super::damping`].
    Network,
}

/// One row of the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Rung {
    /// The condition.
    pub type_: ConditionType,
    /// Conditions that must be True before it can be judged.
    pub needs: &'static [ConditionType],
    /// The evidence for its verdict.
    pub source: Source,
    /// How it is judged.
    pub check: Check,
}

/// The rungs in ladder order. A test compares them with [`ConditionType::LADDER`].
pub const RUNGS: [Rung; 13] = {
    use Check::{Domains, Federation};
    use ConditionType as C;
    use Source::{Cluster, Network};

    const fn rung(type_: C, needs: &'static [C], source: Source, check: Check) -> Rung {
        Rung { type_, needs, source, check }
    }
    const fn domains(
        each: fn(View<'_>, &Domain) -> Verdict,
        every: fn(View<'_>, &[Verdict]) -> Verdict,
    ) -> Check {
        Domains { each, every }
    }

    [
        rung(C::Accepted, &[], Cluster, Federation(accepted::check)),
        // A valid resource is judged even if the operator cannot apply all children: what exists may work.
        rung(C::ResolvedRefs, &[], Cluster, Federation(refs::check)),
        rung(
            C::CertificateReady,
            &[],
            Cluster,
            domains(certificate::for_domain, certificate::every_domain),
        ),
        // References are no condition of it: pods keep serving what was valid before, and a new pod that lacks a
        // Secret says so itself.
        rung(C::EngineReady, &[], Cluster, Federation(engine::check)),
        rung(
            C::BackendReady,
            &[C::EngineReady],
            Network,
            domains(backend::for_domain, backend::every_domain),
        ),
        rung(C::AddressAssigned, &[], Cluster, Federation(address::check)),
        rung(C::HostResolves, &[C::AddressAssigned], Network, Federation(host::check)),
        rung(
            C::SRVResolves,
            &[C::AddressAssigned],
            Network,
            domains(srv::for_domain, srv::every_domain),
        ),
        rung(
            C::InboundReachable,
            &[C::EngineReady, C::AddressAssigned],
            Cluster,
            Federation(inbound::check),
        ),
        rung(
            C::TLSVerified,
            &[C::EngineReady],
            Network,
            domains(tls::for_domain, tls::every_domain),
        ),
        rung(
            C::StreamVerified,
            &[C::EngineReady],
            Network,
            domains(stream::for_domain, stream::every_domain),
        ),
        rung(
            C::DomainUncontested,
            &[],
            Network,
            domains(uncontested::for_domain, uncontested::every_domain),
        ),
        rung(C::PeersReachable, &[C::EngineReady], Network, Federation(peers::check)),
    ]
};

/// The evidence for a condition's verdict. Conditions that are not rungs are based on the rungs.
pub fn source(type_: ConditionType) -> Source {
    RUNGS.iter().find(|rung| rung.type_ == type_).map_or(Source::Cluster, |rung| rung.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rungs_are_those_of_the_status_and_need_only_rungs_below() {
        assert_eq!(RUNGS.map(|rung| rung.type_), ConditionType::LADDER);
        for (index, rung) in RUNGS.iter().enumerate() {
            for need in rung.needs {
                assert!(RUNGS[..index].iter().any(|below| below.type_ == *need), "{rung:?}");
            }
        }
    }
}
