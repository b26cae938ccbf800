//! `DomainUncontested`: nobody else claims a local domain. Another federation of the cluster that is older shows in
//! `Accepted`; here it is the DNS, and what configured peers say about our dialback keys.

use crds::domain::Domain;
use crds::reason::DomainUncontestedReason;
use crds::word::Word;
use federation_engine::observe::evidence::InboundKind;
use jiff::SignedDuration;

use super::View;
use super::host::failures;
use super::peers::{self, PeerView};
use super::verdict::Verdict;
use crate::dns::publish;
use crate::dns::wanted;

/// What this rung leaves out.
const NOT_CHECKED: &str = "Whether a partner routes it elsewhere is not checked yet";

/// The question about a dialback key comes before the verdict on it, within the time that a stream may take to come about.
const QUESTION_BEFORE_VERDICT: SignedDuration = SignedDuration::from_mins(5);

/// The verdict when every domain's is True. What one peer says about a key is a sign and no proof, so it changes the
/// message only.
pub fn every_domain(view: View<'_>, _: &[Verdict]) -> Verdict {
    let sign = claimant(view).map_or_else(
        || format!("{NOT_CHECKED}."),
        |peer| {
            format!(
                "But {peer} called a dialback key invalid without asking any engine about it: it may have one of the domains itself, which only its operator can release, or see other SRV records than the public ones; see status.peers."
            )
        },
    );
    Verdict::new(
        DomainUncontestedReason::Uncontested,
        format!("No other federation of this cluster and no SRV record claims a domain. {sign}"),
    )
}

/// A configured peer that refused a key of ours although no replica was asked about it.
fn claimant(view: View<'_>) -> Option<&Domain> {
    let suspect = |peer: &PeerView<'_>| {
        let reason = peer.outcome().map(|(reason, _)| reason);
        reason == Some(&Word::DialbackInvalidUnasked) && !was_asked(view, peer)
    };
    peers::states(view).into_iter().find(suspect).map(|peer| peer.domain)
}

/// Whether a replica confirmed a key to the peer about when another one was refused. Each replica alone knows only what
/// reached itself.
fn was_asked(view: View<'_>, peer: &PeerView<'_>) -> bool {
    let Some(refused) = peer.evidence.and_then(|evidence| evidence.outbound.as_ref()) else {
        return false;
    };
    view.reports().flat_map(|report| &report.inbound).any(|seen| {
        seen.kind == InboundKind::DialbackVerified
            && seen.peer == *peer.domain
            && refused.since.duration_since(seen.at) < QUESTION_BEFORE_VERDICT
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
    match publish::foreign(view.federation, &target, dns, &suffix) {
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
