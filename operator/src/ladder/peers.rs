//! `PeersReachable`: the configured peers can be reached. A wildcard entry names no domain that could be reached.

use crds::domain::Domain;
use crds::effective;
use crds::pattern::DomainPattern;
use crds::reason::PeersReachableReason;
use crds::status::PeerState;
use crds::word::Word;
use federation_engine::observe::evidence::PeerEvidence;
use jiff::Timestamp;

use super::View;
use super::refusal;
use super::verdict::Verdict;
use crate::evidence::engine::Report;

/// The state of one configured peer.
#[derive(Clone, Debug)]
pub struct PeerView<'a> {
    /// Its domain.
    pub domain: &'a Domain,
    /// It gates `Ready`.
    pub required: bool,
    /// Its state.
    pub state: PeerState,
    /// The report of the replica that knows most about it.
    pub evidence: Option<&'a PeerEvidence>,
}

impl PeerView<'_> {
    /// The engine's reason and message for the direction to the peer.
    pub fn outcome(&self) -> Option<(&Word, &str)> {
        let outbound = self.evidence?.outbound.as_ref()?;
        Some((&outbound.reason, outbound.message.as_str()))
    }

    fn describe(&self) -> String {
        let Some((reason, message)) = self.outcome() else {
            return "Unknown, not reached yet".to_owned();
        };
        format!("{reason}, {}", message.trim_end_matches('.'))
    }
}

/// Judges all configured peers.
pub fn check(view: View<'_>) -> Verdict {
    let peers = states(view);
    let mut verdict = judge(view, &peers);
    let mut refusals = peers.iter().filter_map(|peer| refusal::of(view, peer.domain));
    if let Some(first) = refusals.next() {
        verdict.message = format!("{} {first}", verdict.message);
        if refusals.next().is_some() {
            verdict.message.push_str(" Other peers were refused as well; see status.peers.");
        }
    }
    verdict
}

fn judge(view: View<'_>, peers: &[PeerView<'_>]) -> Verdict {
    if peers.is_empty() {
        return Verdict::new(
            PeersReachableReason::NoPeersConfigured,
            "spec.peers names no peer by its exact domain.",
        );
    }
    let none_seen = !view.seen.engines.iter().any(|e| matches!(e.report, Report::Seen(_)));
    if none_seen {
        return Verdict::new(
            PeersReachableReason::EvidenceUnavailable,
            match view.seen.engines.iter().find_map(|engine| match &engine.report {
                Report::Unreachable(why) => Some((&engine.replica.name, why)),
                Report::Waiting | Report::Seen(_) => None,
            }) {
                Some((pod, why)) => view.unqueried(pod, why),
                None => "No engine pod has reported yet.".to_owned(),
            },
        );
    }
    let failing: Vec<&PeerView<'_>> = peers.iter().filter(|peer| is_failing(peer)).collect();
    if let Some(first) = failing.first() {
        let names: Vec<&str> = failing.iter().map(|peer| peer.domain.as_str()).collect();
        let text = format!(
            "Cannot reach {}. {}: {}. See status.peers.",
            names.join(", "),
            first.domain,
            first.describe()
        );
        let reason = if failing.len() == peers.len() && peers.len() > 1 {
            PeersReachableReason::AllPeersFailed
        } else {
            PeersReachableReason::SomePeersFailed
        };
        return Verdict::new(reason, text);
    }
    if let Some(unknown) = peers.iter().find(|peer| peer.state != PeerState::Connected) {
        return Verdict::new(
            PeersReachableReason::Probing,
            format!("Peer {} has not been reached yet.", unknown.domain),
        );
    }
    Verdict::new(PeersReachableReason::AllPeersReachable, "Every configured peer was reached.")
}

fn is_failing(peer: &PeerView<'_>) -> bool {
    matches!(peer.state, PeerState::Failed | PeerState::Blocked)
}

/// A required peer that is not reachable, and why.
pub fn required_failing(view: View<'_>) -> Option<String> {
    let peers = states(view);
    let peer = peers.iter().find(|peer| peer.required && peer.state != PeerState::Connected)?;
    Some(format!("Required peer {} is not reachable: {}.", peer.domain, peer.describe()))
}

/// The state of every configured peer that is named by its exact domain.
pub fn states(view: View<'_>) -> Vec<PeerView<'_>> {
    let spec = &view.federation.spec;
    let named = spec.peers.iter().filter_map(|peer| match &peer.domain {
        DomainPattern::Exact(domain) => Some((domain, &peer.settings)),
        DomainPattern::Below(_) => None,
    });
    named
        .map(|(domain, settings)| {
            let evidence = best(view, domain);
            PeerView {
                domain,
                required: effective::effective(&spec.peer_defaults, Some(settings)).required,
                state: evidence.map_or(PeerState::Unknown, state),
                evidence,
            }
        })
        .collect()
}

/// What each replica knows about a peer.
pub fn reports<'a>(view: View<'a>, domain: &Domain) -> impl Iterator<Item = &'a PeerEvidence> {
    view.reports().flat_map(|seen| &seen.peers).filter(move |peer| peer.domain == *domain)
}

/// The report of a replica that has a stream now, else of the one with the latest observation: an older success at another
/// replica tells nothing about the peer's current state.
pub fn best<'a>(view: View<'a>, domain: &Domain) -> Option<&'a PeerEvidence> {
    reports(view, domain).max_by_key(|peer| {
        let open = peer.outbound.as_ref().is_some_and(|stream| stream.connected);
        (open, last_attempt(peer))
    })
}

fn last_attempt(peer: &PeerEvidence) -> Option<Timestamp> {
    let tried = peer.attempts.last().map(|attempt| attempt.at);
    tried.max(peer.outbound.as_ref().map(|stream| stream.since))
}

/// The state that follows from a replica's evidence. A stream that was closed because it was idle counts as a success.
pub fn state(peer: &PeerEvidence) -> PeerState {
    let outbound = peer.outbound.as_ref();
    if outbound.is_some_and(|stream| stream.connected) {
        return PeerState::Connected;
    }
    let reason = outbound
        .map(|stream| &stream.reason)
        .or_else(|| peer.attempts.last().map(|attempt| &attempt.reason));
    match reason {
        Some(Word::Connected) => PeerState::Connected,
        Some(Word::BlockedByLocalPolicy) => PeerState::Blocked,
        Some(_) => PeerState::Failed,
        None => PeerState::Unknown,
    }
}
