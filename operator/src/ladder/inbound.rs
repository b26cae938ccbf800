//! `InboundReachable`: a server outside the cluster has reached the engine. A connection from inside proves nothing here,
//! because kube-proxy answers the load balancer's address itself.

use crds::reason::InboundReachableReason;
use federation_engine::observe::evidence::{InboundKind, InboundObservation};
use jiff::SignedDuration;

use super::verdict::Verdict;
use super::{View, proxy};
use crate::evidence::engine::Report;

/// Judges the strongest fresh evidence.
pub fn check(view: View<'_>) -> Verdict {
    let found = strongest(view);
    if let Some(observation) = found {
        if let Some(cause) = staleness(view, observation) {
            let when = match cause {
                Staleness::AddressChanged => "came before the addresses of the Service changed",
                Staleness::TooOld => "is older than spec.verification.evidenceTtl",
            };
            return Verdict::new(
                InboundReachableReason::EvidenceStale,
                format!(
                    "The last connection from outside the cluster, from {}, {when}. {}",
                    observation.peer,
                    proxy::advice(view).unwrap_or_else(|| {
                        "Ask someone at a remote domain to send you a message.".to_owned()
                    })
                ),
            );
        }
        return good(observation);
    }
    let engines = &view.seen.engines;
    let none_seen = !engines.iter().any(|engine| matches!(engine.report, Report::Seen(_)));
    let unreachable = engines.iter().find_map(|engine| match &engine.report {
        Report::Unreachable(why) => Some((&engine.replica.name, why)),
        Report::Waiting | Report::Seen(_) => None,
    });
    if let (true, Some((pod, why))) = (none_seen, unreachable) {
        return Verdict::new(InboundReachableReason::EvidenceUnavailable, view.unqueried(pod, why));
    }
    let gap = if view.seen.networks.complete {
        ""
    } else {
        " (the operator cannot list nodes, so it knows the cluster only by spec.verification.clusterNetworks and the pods' addresses)"
    };
    let action = proxy::advice(view).unwrap_or_else(|| {
        "Ask someone at a remote domain to send you a message, or add a dialback peer to spec.peers: the engine's probe makes it connect back.".to_owned()
    });
    Verdict::new(
        InboundReachableReason::NoOutsideEvidence,
        format!("No server outside the cluster has connected yet{gap}. {action}"),
    )
}

fn good(observation: &InboundObservation) -> Verdict {
    let InboundObservation { kind, peer, local, source: _, at: _ } = observation;
    match kind {
        InboundKind::StreamAuthenticated => Verdict::new(
            InboundReachableReason::InboundObserved,
            format!(
                "The server of {peer} connected from outside the cluster for {local} and is authenticated."
            ),
        ),
        InboundKind::DialbackVerified => Verdict::new(
            InboundReachableReason::DialbackObserved,
            format!(
                "The receiving server {peer} sent a db:verify for a dialback key that the engine had issued for {local}."
            ),
        ),
        InboundKind::StreamOpened => Verdict::new(
            InboundReachableReason::InboundObserved,
            format!(
                "The server of {peer} opened a stream from outside the cluster for {local}, but its domain is not authenticated."
            ),
        ),
    }
}

/// The best observation: fresh before stale, then the strongest kind, then the latest. The one that the status remembers
/// counts like those of the pods, because new pods have seen nothing yet.
pub fn strongest(view: View<'_>) -> Option<&InboundObservation> {
    view.reports()
        .flat_map(|seen| &seen.inbound)
        .chain(&view.seen.remembered)
        .filter(|observation| is_outside(view, observation))
        .min_by_key(|observation| {
            let stale = staleness(view, observation).is_some();
            (stale, observation.kind, std::cmp::Reverse(observation.at))
        })
}

/// A key that the engine issued to the peer can only come back from that peer, whatever source address the load balancer
/// shows. Everything else is judged by its source address. A trusted proxy that states no address hides the peer's.
fn is_outside(view: View<'_>, observation: &InboundObservation) -> bool {
    let source = observation.source;
    observation.kind == InboundKind::DialbackVerified
        || !(view.seen.networks.contains(source)
            || view.federation.spec.service.proxy_protocol.trusts(source))
}

/// Why evidence no longer counts.
enum Staleness {
    /// It dates from before the Service got its current addresses.
    AddressChanged,
    /// It is older than `spec.verification.evidenceTtl`.
    TooOld,
}

fn staleness(view: View<'_>, observation: &InboundObservation) -> Option<Staleness> {
    if view.seen.address_changed.is_some_and(|changed| observation.at < changed) {
        return Some(Staleness::AddressChanged);
    }
    let ttl: std::time::Duration = view.federation.spec.verification.evidence_ttl.into();
    let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
    (view.seen.now.duration_since(observation.at) > ttl).then_some(Staleness::TooOld)
}
