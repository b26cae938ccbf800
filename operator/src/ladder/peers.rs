//! `PeersReachable`: the configured peers can be reached. A peer named by a suffix has no domain of its own to reach.

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

/// How one configured peer stands.
#[derive(Clone, Debug)]
pub struct PeerView<'a> {
    /// Its domain.
    pub domain: &'a Domain,
    /// It gates `Ready`.
    pub required: bool,
    /// How it stands.
    pub state: PeerState,
    /// What the replica that knows most about it reports.
    pub evidence: Option<&'a PeerEvidence>,
}

impl PeerView<'_> {
    /// The engine's word and sentence about the direction towards the peer.
    pub fn outcome(&self) -> Option<(&Word, &str)> {
        let outbound = self.evidence?.outbound.as_ref()?;
        Some((&outbound.reason, outbound.message.as_str()))
    }

    fn told(&self) -> String {
        let Some((reason, message)) = self.outcome() else {
            return "Unknown, it has not been reached yet".to_owned();
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
            verdict.message.push_str(" Others were refused, too: see status.peers.");
        }
    }
    verdict
}

fn judge(view: View<'_>, peers: &[PeerView<'_>]) -> Verdict {
    if peers.is_empty() {
        return Verdict::new(
            PeersReachableReason::NoPeersConfigured,
            "No peer with a domain of its own is configured in spec.peers.",
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
                Some((pod, why)) => format!("Engine pod {pod} cannot be asked: {why}."),
                None => "No engine pod has reported yet.".to_owned(),
            },
        );
    }
    let failing: Vec<&PeerView<'_>> = peers.iter().filter(|peer| is_failing(peer)).collect();
    if let Some(first) = failing.first() {
        let names: Vec<&str> = failing.iter().map(|peer| peer.domain.as_str()).collect();
        let text = format!(
            "Not reachable: {}. {}: {}. See status.peers.",
            names.join(", "),
            first.domain,
            first.told()
        );
        let reason = if failing.len() == peers.len() {
            PeersReachableReason::AllPeersFailed
        } else {
            PeersReachableReason::SomePeersFailed
        };
        return Verdict::new(reason, text);
    }
    if let Some(unknown) = peers.iter().find(|peer| peer.state != PeerState::Connected) {
        return Verdict::new(
            PeersReachableReason::Probing,
            format!("The peer {} has not been reached yet.", unknown.domain),
        );
    }
    Verdict::new(PeersReachableReason::AllPeersReachable, "Every configured peer was reached.")
}

fn is_failing(peer: &PeerView<'_>) -> bool {
    matches!(peer.state, PeerState::Failed | PeerState::Blocked)
}

/// A required peer that fails, and why.
pub fn required_failing(view: View<'_>) -> Option<String> {
    let peers = states(view);
    let peer = peers.iter().find(|peer| peer.required && peer.state != PeerState::Connected)?;
    Some(format!("The required peer {} is not reachable: {}.", peer.domain, peer.told()))
}

/// How every configured peer with a domain of its own stands.
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

/// What each replica knows of a peer.
pub fn reports<'a>(view: View<'a>, domain: &Domain) -> impl Iterator<Item = &'a PeerEvidence> {
    view.reports().flat_map(|seen| &seen.peers).filter(move |peer| peer.domain == *domain)
}

/// Of the replicas, one that has a stream now, else the one that saw something last: what another one reached before that
/// says nothing about the peer as it is.
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

/// The state that a replica's evidence amounts to. A stream that was closed for idleness was a success.
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
