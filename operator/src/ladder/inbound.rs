//! `InboundReachable`: a server outside the cluster has reached the engine. A connection from inside proves nothing here,
//! because kube-proxy answers the load balancer's address itself.

use std::net::IpAddr;

use crds::reason::InboundReachableReason;
use federation_engine::observe::evidence::{InboundKind, InboundObservation};

use super::outside::Finding;
use super::verdict::Verdict;
use super::{View, outside, proxy};
use crate::evidence::engine::Report;
use crate::evidence::networks::{Gap, is_unrouted};

/// Judges what probers see, then the strongest fresh evidence that others left here.
pub fn check(view: View<'_>) -> Verdict {
    let findings = outside::findings(view);
    let passive = fresh(view);
    let failed = findings.iter().find_map(|finding| Some((finding, finding.fault.as_ref()?)));
    let reached = findings.iter().filter(|finding| finding.fault.is_none());
    let latest =
        reached.clone().map(|finding| finding.at).chain(passive.map(|known| known.at)).max();
    if let Some((failed, fault)) =
        failed.filter(|(failed, _)| !latest.is_some_and(|at| failed.is_over(at)))
    {
        if let Some(other) = reached.clone().find(|other| failed.is_contradicted_by(other.at)) {
            let also = format!("Prober {} connects to all ports.", other.prober);
            return disagreement(fault, &also, &failed.prober);
        }
        if let Some(peer) = passive.filter(|known| failed.is_contradicted_by(known.at)) {
            let also = format!("The server of {} connected at the same time.", peer.peer);
            return disagreement(fault, &also, &failed.prober);
        }
        return Verdict::new(fault.reason, format!("{} {}", fault.seen, fault.advice));
    }
    match (passive, reached.clone().next()) {
        (Some(peer), _) if peer.kind != InboundKind::StreamOpened => good(peer),
        // What a user saw once proves less than what a prober sees now, so the word differs.
        (_, Some(prober)) if prober.is_reported => Verdict::new(
            InboundReachableReason::ProbeReported,
            format!(
                "Prober {} opened a stream from outside the cluster to every address and port. A user made this probe, and the operator cannot repeat it.",
                prober.prober
            ),
        ),
        (_, Some(prober)) => Verdict::new(
            InboundReachableReason::ProbeSucceeded,
            format!(
                "Prober {} opened a stream from outside the cluster to every address and port.",
                prober.prober
            ),
        ),
        (Some(peer), None) => good(peer),
        (None, None) => {
            let mut verdict = without_prober(view);
            verdict.message.push_str(&outside::unusable(view));
            verdict
        }
    }
}

/// One prober cannot connect, while somebody else can: either it, or a part of the internet, is cut off.
fn disagreement(fault: &outside::Fault, also: &str, prober: &str) -> Verdict {
    Verdict::new(
        InboundReachableReason::ProbersDisagree,
        format!(
            "{} {also} Check whether a firewall admits only some networks, and whether the network of prober {prober} permits outgoing connections.",
            fault.seen
        ),
    )
}

/// Judges the evidence that peers left.
fn without_prober(view: View<'_>) -> Verdict {
    let found = strongest(view);
    if let Some(observation) = found {
        if let Some(cause) = staleness(view, observation) {
            let when = match cause {
                Staleness::AddressChanged => {
                    "came before the addresses or ports of the federation changed"
                }
                Staleness::TooOld => "is older than spec.verification.evidenceTtl",
            };
            return Verdict::new(
                InboundReachableReason::EvidenceStale,
                format!(
                    "The last connection from outside the cluster, from {}, {when}. {}",
                    observation.peer,
                    proxy::advice(view).unwrap_or_else(|| {
                        "Ask someone at a remote domain to send you a message, or set spec.verification.prober.".to_owned()
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
    let gap = gap(view).map_or_else(String::new, |gap| {
        format!(
            " Connections from private addresses do not count, because {gap}: list the networks of nodes, pods and Services in spec.verification.clusterNetworks."
        )
    });
    let neighbour = view.seen.neighbours.first().map_or_else(String::new, |peer| {
        format!(" Streams from {peer} do not count: another federation of this cluster serves it.")
    });
    let action = proxy::advice(view).unwrap_or_else(|| {
        "Ask someone at a remote domain to send you a message, set spec.verification.prober, or add a dialback peer to spec.peers: the engine's probe makes it connect back.".to_owned()
    });
    Verdict::new(
        InboundReachableReason::NoOutsideEvidence,
        format!("No server outside the cluster has connected yet.{gap}{neighbour} {action}"),
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

/// A domain of another federation of the cluster is never outside. Otherwise: a key that the engine issued to the peer can only come back from that peer, whatever source address the load balancer
/// shows. Everything else is judged by its source address. A trusted proxy that states no address hides the peer's.
fn is_outside(view: View<'_>, observation: &InboundObservation) -> bool {
    let source = observation.source;
    // It reaches us by the public address, and still from inside: the load balancer's address is answered in the cluster.
    if view.seen.neighbours.contains(&observation.peer) {
        return false;
    }
    observation.kind == InboundKind::DialbackVerified
        || !(view.seen.networks.contains(source)
            || may_be_inside(view, source)
            || view.federation.spec.service.proxy_protocol.trusts(source))
}

/// Pods have addresses of networks that the operator cannot read, and those are nearly always private.
fn may_be_inside(view: View<'_>, source: IpAddr) -> bool {
    gap(view).is_some() && is_unrouted(source)
}

/// The networks of the cluster that are unknown, unless the spec lists them.
fn gap(view: View<'_>) -> Option<&Gap> {
    let listed = !view.federation.spec.verification.cluster_networks.is_empty();
    view.seen.networks.gap.as_ref().filter(|_| !listed)
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
    let age = view.seen.now.duration_since(observation.at);
    (age > outside::evidence_ttl(view)).then_some(Staleness::TooOld)
}

/// The strongest observation that still counts.
pub fn fresh(view: View<'_>) -> Option<&InboundObservation> {
    strongest(view).filter(|known| staleness(view, known).is_none())
}

/// The first prober that connects.
pub fn prober(view: View<'_>) -> Option<Finding> {
    outside::findings(view).into_iter().find(|finding| finding.fault.is_none())
}
