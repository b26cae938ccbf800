//! `PeersReachable`: the configured peers can be reached. A wildcard entry names no domain that could be reached.

use crds::domain::Domain;
use crds::effective;
use crds::pattern::DomainPattern;
use crds::reason::PeersReachableReason;
use crds::status::PeerState;
use crds::word::Word;
use federation_engine::observe::evidence::{
    ClaimOutcome, FlowEvidence, FlowOutcome, LocalStream, PeerEvidence,
};
use jiff::Timestamp;

use super::View;
use super::outbound;
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
    /// The address at the peer that the engine pings.
    pub ping: Option<String>,
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

    /// A local domain whose streams fail although those of another one do not.
    pub fn failing_local(&self) -> Option<&LocalStream> {
        let failing = |other: &&LocalStream| {
            !other.stream.connected && other.stream.reason != Word::Connected
        };
        self.evidence
            .filter(|evidence| state(evidence) == PeerState::Connected)?
            .others
            .iter()
            .find(failing)
    }

    /// What to do; one sentence.
    fn advice(&self) -> &'static str {
        let outcome = self.outcome().map(|(reason, _)| reason);
        let reason = self.failing_local().map(|other| &other.stream.reason).or(outcome);
        reason.map_or("The engine tries again.", outbound::advice)
    }

    fn describe(&self) -> String {
        if let Some(LocalStream { local, stream }) = self.failing_local() {
            let message = outbound::cause(&stream.message);
            return format!("from {local} only: {}, {message}", stream.reason);
        }
        let Some((reason, message)) = self.outcome() else {
            return "Unknown, not reached yet".to_owned();
        };
        format!("{reason}, {}", outbound::cause(message))
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
        let others = match failing.len() {
            1 => String::new(),
            2 => format!(
                " {} fails as well.",
                failing.last().map_or("", |peer| peer.domain.as_str())
            ),
            more => format!(" {} more peers fail as well.", more - 1),
        };
        let text = format!(
            "Cannot reach {}: {}. {}{others} See status.peers.",
            first.domain,
            first.describe(),
            first.advice()
        );
        if failing.len() == peers.len() && peers.len() > 1 {
            let hint = if points_at_egress(view, peers) { EGRESS } else { "" };
            return Verdict::new(PeersReachableReason::AllPeersFailed, format!("{text}{hint}"));
        }
        return Verdict::new(PeersReachableReason::SomePeersFailed, text);
    }
    if let Some(flow) = peers.iter().find_map(|peer| one_way(view, peer.domain)) {
        return Verdict::new(
            PeersReachableReason::OneWay,
            format!(
                "Stanzas reach {}, but no answer to the ping to {} comes back. Its server cannot open a stream to the engine, or drops the ping: compare InboundReachable, and ask its administrator for the reason in its log.",
                flow.peer, flow.to
            ),
        );
    }
    // A stream to a peer shows one direction. The answer to the ping shows the other one.
    let unanswered =
        |peer: &&PeerView<'_>| peer.ping.is_some() && flows(view, peer.domain).next().is_none();
    if let Some(PeerView { ping: Some(to), .. }) = peers.iter().find(unanswered) {
        return Verdict::new(
            PeersReachableReason::Probing,
            format!("The ping to {to} has no result yet."),
        );
    }
    if let Some(unknown) = peers.iter().find(|peer| peer.state != PeerState::Connected) {
        return Verdict::new(
            PeersReachableReason::Probing,
            format!("Peer {} has not been reached yet.", unknown.domain),
        );
    }
    let wrong_address = peers.iter().find_map(|peer| {
        flows(view, peer.domain).find(|flow| result(view, flow) == FlowOutcome::AnsweredWithError)
    });
    Verdict::new(
        PeersReachableReason::AllPeersReachable,
        match wrong_address {
            Some(flow) => format!(
                "Every configured peer was reached. {} answered the ping to {} with an error. {WRONG_ADDRESS}",
                flow.peer, flow.to
            ),
            None => "Every configured peer was reached.".to_owned(),
        },
    )
}

/// What an error in answer to a ping may mean. Users may have other addresses in federation than inside, as with the
/// setting "email address for federation" of Cisco IM and Presence.
pub const WRONG_ADDRESS: &str = "The address may not exist, or the peer's users have other addresses in federation, for example their email addresses: compare spec.peers[].probe.to with its administrator.";

/// What to do if no connection leaves the cluster.
const EGRESS: &str = " No other server can be reached either: check that NetworkPolicies, the nodes and the firewall allow the engine pods to open TCP connections to port 5269 of other networks.";

/// All peers fail before or at the TCP connection, and there is no sign that any other server can be reached. One that
/// refuses or resets was reached.
fn points_at_egress(view: View<'_>, peers: &[PeerView<'_>]) -> bool {
    let unconnected = |peer: &PeerView<'_>| {
        let reason = peer.outcome().map(|(reason, _)| reason);
        matches!(reason, Some(Word::ConnectTimedOut | Word::NoRoute | Word::ConnectFailed))
    };
    let control = view.reports().any(|seen| {
        seen.peers.iter().any(|peer| peer.outbound.as_ref().is_some_and(|out| out.connected))
            || seen.claims.iter().any(|claim| claim.outcome != ClaimOutcome::Unreachable)
    });
    peers.iter().all(unconnected) && !control
}

/// The last ping to an address at a peer, if one local domain got no answer to it at any replica.
fn one_way<'a>(view: View<'a>, peer: &Domain) -> Option<&'a FlowEvidence> {
    flows(view, peer).find(|flow| result(view, flow) == FlowOutcome::NoAnswer)
}

/// The last ping from each local domain to an address at a peer, of any replica.
pub fn flows<'a>(view: View<'a>, peer: &Domain) -> impl Iterator<Item = &'a FlowEvidence> {
    let all: Vec<&FlowEvidence> =
        view.reports().flat_map(|seen| &seen.flows).filter(|flow| flow.peer == *peer).collect();
    let last = |flow: &&FlowEvidence| {
        !all.iter().any(|other| {
            other.local == flow.local
                && (result(view, other) != FlowOutcome::NoAnswer, other.at)
                    > (result(view, flow) != FlowOutcome::NoAnswer, flow.at)
        })
    };
    all.iter().copied().filter(last).collect::<Vec<_>>().into_iter()
}

/// The outcome of a ping, whose answer may have come to another replica.
pub fn result(view: View<'_>, flow: &FlowEvidence) -> FlowOutcome {
    let elsewhere = view
        .reports()
        .flat_map(|seen| &seen.answers)
        .any(|answer| answer.domain == flow.peer && answer.ping == flow.ping);
    // An error in answer is among the answers as well.
    match flow.outcome {
        FlowOutcome::NoAnswer if elsewhere => FlowOutcome::Answered,
        outcome => outcome,
    }
}

fn is_failing(peer: &PeerView<'_>) -> bool {
    matches!(peer.state, PeerState::Failed | PeerState::Blocked)
}

/// A required peer that is not reachable, and why.
pub fn required_failing(view: View<'_>) -> Option<String> {
    let peers = states(view);
    let required = || peers.iter().filter(|peer| peer.required);
    if let Some(peer) = required().find(|peer| peer.state != PeerState::Connected) {
        return Some(format!(
            "Required peer {} is not reachable: {}. {}",
            peer.domain,
            peer.describe(),
            peer.advice()
        ));
    }
    let flow = required().find_map(|peer| one_way(view, peer.domain))?;
    Some(format!(
        "Stanzas reach required peer {}, but no answer to the ping to {} comes back.",
        flow.peer, flow.to
    ))
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
            let settings = effective::effective(&spec.peer_defaults, Some(settings));
            let ping = settings.probe.to.filter(|to| is_at(to, domain));
            let peer = PeerView {
                domain,
                required: settings.required,
                ping,
                state: evidence.map_or(PeerState::Unknown, state),
                evidence,
            };
            match peer.failing_local() {
                Some(_) => PeerView { state: PeerState::Failed, ..peer },
                None => peer,
            }
        })
        .collect()
}

/// The engine pings an address of the peer only.
fn is_at(address: &str, peer: &Domain) -> bool {
    let bare = address.split('/').next().unwrap_or_default();
    bare.rsplit('@').next().is_some_and(|domain| domain == peer.as_str())
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
