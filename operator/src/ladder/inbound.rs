//! `InboundReachable`: a server outside the cluster has reached the engine. A connection from inside proves nothing here,
//! because kube-proxy answers the load balancer's address itself.

use crds::reason::InboundReachableReason;
use federation_engine::observe::evidence::{InboundKind, InboundObservation};
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::evidence::engine::Report;

/// Judges the strongest fresh evidence.
pub fn check(view: View<'_>) -> Verdict {
    let found = strongest(view);
    if let Some(observation) = found {
        if let Some(cause) = staleness(view, observation) {
            let when = match cause {
                Staleness::AddressChanged => "before the addresses of the Service changed",
                Staleness::TooOld => "longer ago than spec.verification.evidenceTtl",
            };
            return Verdict::new(
                InboundReachableReason::EvidenceStale,
                format!(
                    "The last connection from outside the cluster, by {}, was {when}. Ask someone at a remote domain to send you a message.",
                    observation.peer
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
        return Verdict::new(
            InboundReachableReason::EvidenceUnavailable,
            format!("Engine pod {pod} cannot be asked: {why}."),
        );
    }
    let gap = if view.seen.networks.complete {
        ""
    } else {
        " The nodes cannot be listed, so connections are judged by spec.verification.clusterNetworks and the pods' addresses alone."
    };
    Verdict::new(
        InboundReachableReason::NoOutsideEvidence,
        format!(
            "No server outside the cluster has connected yet. Let somebody at a remote domain send a message, or name a peer in spec.peers: the engine's probe makes a peer with dialback connect back.{gap}"
        ),
    )
}

fn good(observation: &InboundObservation) -> Verdict {
    let InboundObservation { kind, peer, local, source: _, at: _ } = observation;
    match kind {
        InboundKind::StreamAuthenticated => Verdict::new(
            InboundReachableReason::InboundObserved,
            format!(
                "The server of {peer} connected from outside the cluster for {local}, and was proven."
            ),
        ),
        InboundKind::DialbackVerified => Verdict::new(
            InboundReachableReason::DialbackObserved,
            format!(
                "The receiving server {peer} asked back about a dialback key that the engine had issued for {local}."
            ),
        ),
        InboundKind::StreamOpened => Verdict::new(
            InboundReachableReason::InboundObserved,
            format!(
                "The server of {peer} opened a stream from outside the cluster for {local}; its domain has not been proven."
            ),
        ),
    }
}

/// Fresh before stale, then by strength, then the latest.
pub fn strongest(view: View<'_>) -> Option<&InboundObservation> {
    view.reports()
        .flat_map(|seen| &seen.inbound)
        .filter(|observation| is_outside(view, observation))
        .min_by_key(|observation| {
            let stale = staleness(view, observation).is_some();
            (stale, observation.kind, std::cmp::Reverse(observation.at))
        })
}

/// A key that the engine issued to the peer comes back from the peer whatever address the load balancer shows; all else
/// counts by its source.
fn is_outside(view: View<'_>, observation: &InboundObservation) -> bool {
    observation.kind == InboundKind::DialbackVerified
        || !view.seen.networks.contains(observation.source)
}

/// Why evidence proves nothing any more.
enum Staleness {
    /// It is from before the Service got its present addresses.
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
