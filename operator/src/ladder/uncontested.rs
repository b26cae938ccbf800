//! `DomainUncontested`: no one else claims a local domain. `Accepted` reports an older federation of the cluster; this
//! rung judges DNS, and how configured peers answer our dialback keys.

use crds::domain::Domain;
use crds::reason::DomainUncontestedReason;
use crds::word::Word;
use federation_engine::observe::evidence::InboundKind;
use jiff::SignedDuration;

use super::View;
use super::host::failures;
use super::peers::{self, PeerView};
use super::srv;
use super::verdict::Verdict;
use crate::dns::publish;
use crate::dns::wanted;

/// What this rung does not check.
const NOT_CHECKED: &str =
    "The operator does not check yet whether a partner routes the domain elsewhere";

/// A peer verifies a dialback key before it answers, within the time that stream negotiation may take.
const QUESTION_BEFORE_VERDICT: SignedDuration = SignedDuration::from_mins(5);

/// The verdict when every domain's is True. One peer's answer to a key is a hint but no proof, so it changes only the
/// message.
pub fn every_domain(view: View<'_>, _: &[Verdict]) -> Verdict {
    let sign = claimant(view).map_or_else(
        || format!("{NOT_CHECKED}."),
        |peer| {
            format!(
                "But {peer} rejected a dialback key without querying any engine. It may host one of the domains itself (only its administrator can release it), or see SRV records other than the public ones; see status.peers."
            )
        },
    );
    let except = if view.federation.spec.dns.srv.other_targets.is_empty() {
        ""
    } else {
        ", except the servers in spec.dns.srv.otherTargets"
    };
    Verdict::new(
        DomainUncontestedReason::Uncontested,
        format!(
            "No other federation of this cluster and no SRV record claims a local domain{except}. {sign}"
        ),
    )
}

/// A configured peer that rejected one of our keys although no replica got a db:verify for it.
fn claimant(view: View<'_>) -> Option<&Domain> {
    let suspect = |peer: &PeerView<'_>| {
        let reason = peer.outcome().map(|(reason, _)| reason);
        reason == Some(&Word::DialbackInvalidUnasked) && !was_asked(view, peer)
    };
    peers::states(view).into_iter().find(suspect).map(|peer| peer.domain)
}

/// Whether a replica confirmed a key to the peer at about the time when another key was rejected. A replica knows only
/// about requests that reached it.
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
    let target = wanted::srv_target(view.federation, view.published_at().as_ref());
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
            format!("No DNS server answered the query for the SRV records of {domain}: {why}."),
        );
    }
    let target = target.unwrap_or_else(|| view.federation.host.to_ascii());
    let dns = &view.seen.dns;
    match publish::foreign(view.federation, &target, dns, &suffix) {
        Some((owner, elsewhere)) => Verdict::new(
            DomainUncontestedReason::DomainClaimedElsewhere,
            format!(
                "SRV record {owner} {elsewhere} points to another server. {}",
                srv::ways_out(domain, elsewhere)
            ),
        ),
        None => Verdict::new(
            DomainUncontestedReason::Uncontested,
            format!("No SRV record of {domain} points elsewhere. {NOT_CHECKED}."),
        ),
    }
}
