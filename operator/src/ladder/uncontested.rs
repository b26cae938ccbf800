//! `DomainUncontested`: no one else claims a local domain. It judges DNS, how configured peers reject our streams, and what
//! the partners of `spec.verification.claimCheck` answer. A federation that is rejected because an older one of the cluster has
//! its domain gets `DomainConflict` here as well.

use crds::domain::Domain;
use crds::reason::DomainUncontestedReason;

use super::View;
use super::claims::{self, Claim};
use super::host::failures;
use super::srv;
use super::verdict::Verdict;
use crate::dns::publish;
use crate::dns::wanted;

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, _: &[Verdict]) -> Verdict {
    let except = if view.federation.spec.dns.srv.other_targets.is_empty() {
        ""
    } else {
        ", except the servers in spec.dns.srv.otherTargets"
    };
    Verdict::new(
        DomainUncontestedReason::Uncontested,
        format!(
            "No other federation of this cluster, no SRV record and no configured peer claims a local domain{except}. {}",
            not_checked(view)
        ),
    )
}

/// What this rung does not check; a sentence.
fn not_checked(view: View<'_>) -> String {
    let first = view.federation.domains().next();
    let asked = first.map(|domain| claims::asked(view, domain)).unwrap_or_default();
    if asked.is_empty() {
        return "Other servers may host a domain themselves; spec.verification.claimCheck asks partners.".to_owned();
    }
    let names: Vec<&str> = asked.iter().map(|partner| partner.as_str()).collect();
    format!("{} answered that they do not host it.", names.join(", "))
}

/// A partner claims a domain: the evidence, and whom to contact.
fn claimed(domain: &Domain, Claim { partner, evidence }: &Claim) -> Verdict {
    let evidence = evidence.trim_end_matches('.');
    Verdict::new(
        DomainUncontestedReason::DomainClaimedElsewhere,
        format!(
            "{partner} appears to host {domain} itself: {evidence}. Ask the administrator of {partner}, or the support of its hosting provider, to release {domain}. If {domain} is yours there as well, delete it there."
        ),
    )
}

/// Judges one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let target = wanted::srv_target(view.federation, view.published_at().as_ref());
    if let Some(claim) = claims::of(view, domain) {
        return claimed(domain, &claim);
    }
    let suffix = format!("._tcp.{}", domain.to_ascii());
    let of_domain =
        || view.seen.dns.services.iter().filter(|(owner, _)| owner.ends_with(suffix.as_str()));
    let reported = of_domain().any(|(_, evidence)| evidence.best().next().is_some());
    if !reported {
        let why = of_domain()
            .next()
            .map_or_else(String::new, |(_, evidence)| failures(&evidence.zone, &evidence.public));
        return Verdict::new(
            DomainUncontestedReason::ResolverUnavailable,
            format!(
                "No DNS server answered the query for the SRV records of {domain}: {why}. Check spec.dns.resolvers, and allow the operator's pod to reach port 53 outside the cluster."
            ),
        );
    }
    let target = target.unwrap_or_else(|| view.federation.host.to_ascii());
    let dns = &view.seen.dns;
    if let Some((owner, elsewhere)) = publish::foreign(view.federation, &target, dns, &suffix) {
        return Verdict::new(
            DomainUncontestedReason::DomainClaimedElsewhere,
            format!(
                "SRV record {owner} {elsewhere} points to another server. {}",
                srv::ways_out(domain, elsewhere)
            ),
        );
    }
    if let Some(claim) = claims::inconclusive(view, domain) {
        return Verdict::new(
            DomainUncontestedReason::ControlProbeInconclusive,
            format!(
                "The answers of {} do not show whether it hosts {domain} itself: {}. Ask its administrator, or remove it from spec.verification.claimCheck.peers.",
                claim.partner,
                claim.evidence.trim_end_matches('.')
            ),
        );
    }
    Verdict::new(
        DomainUncontestedReason::Uncontested,
        format!("No SRV record of {domain} points elsewhere. {}", not_checked(view)),
    )
}
