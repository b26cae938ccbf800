//! `DomainUncontested`: nobody else claims a local domain. Another federation of the cluster that is older shows in
//! `Accepted`; here it is the DNS.

use crds::domain::Domain;
use crds::reason::DomainUncontestedReason;

use super::host::failures;
use super::verdict::Verdict;
use super::{View, over_domains};
use crate::publication;
use crate::wanted;

/// What this rung leaves out.
const NOT_CHECKED: &str = "Whether a partner routes it elsewhere is not checked yet";

/// Judges all domains.
pub fn check(view: View<'_>) -> Verdict {
    over_domains(view, for_domain, |_| {
        Verdict::new(
            DomainUncontestedReason::Uncontested,
            format!(
                "No other federation of this cluster and no SRV record claims a domain. {NOT_CHECKED}."
            ),
        )
    })
}

/// Judges one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let target = wanted::srv_target(view.federation, view.seen.cluster.address());
    let suffix = format!("._tcp.{}", domain.to_ascii());
    let of_domain =
        || view.seen.dns.services.iter().filter(|(owner, _)| owner.ends_with(suffix.as_str()));
    let told = of_domain().any(|(_, evidence)| evidence.best().next().is_some());
    if !told {
        let why = of_domain()
            .next()
            .map_or_else(String::new, |(_, evidence)| failures(&evidence.zone, &evidence.public));
        return Verdict::new(
            DomainUncontestedReason::ResolverUnavailable,
            format!("No DNS server tells about the SRV records of {domain}: {why}."),
        );
    }
    let target = target.unwrap_or_else(|| view.federation.host.to_ascii());
    let dns = &view.seen.dns;
    match publication::foreign(view.federation, &target, dns, &suffix) {
        Some((owner, elsewhere)) => Verdict::new(
            DomainUncontestedReason::DomainClaimedElsewhere,
            format!(
                "The record {owner} leads to {elsewhere}, somebody else's server. Delete that record when the domain is to move here, or remove {domain} from spec.domains."
            ),
        ),
        None => Verdict::new(
            DomainUncontestedReason::Uncontested,
            format!("No SRV record of {domain} leads elsewhere. {NOT_CHECKED}."),
        ),
    }
}
