//! `status.peers` and `status.peerSummary`. Pure.

use crds::XmppFederationStatus;
use crds::condition::sentence;
use crds::domain::Domain;
use crds::status::{
    MAX_PEERS, PeerAuthenticatedByStatus, PeerAuthenticationStatus, PeerState, PeerStatus,
    PeerSummary, PeerTlsStatus,
};
use federation_engine::observe::evidence::{Authentication, PeerEvidence, PeerStream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::ladder::{View, peers, refusal};

/// Configured peers first, then other peers with traffic; if there are too many, failing ones are kept first.
pub(super) fn peers(old: &XmppFederationStatus, view: View<'_>) -> (Vec<PeerStatus>, PeerSummary) {
    let now = view.seen.now;
    let configured = peers::states(view);
    let count = |wanted: fn(PeerState) -> bool| {
        u32::try_from(configured.iter().filter(|p| wanted(p.state)).count()).unwrap_or(u32::MAX)
    };
    let total = count(|_| true);
    let reachable = count(|state| state == PeerState::Connected);
    let failing = count(|state| matches!(state, PeerState::Failed | PeerState::Blocked));
    let mut list: Vec<PeerStatus> = configured
        .iter()
        .map(|peer| {
            let status = peer_status(old, peer.domain, peer.state, peer.evidence, now);
            with_refusal(status, refusal::of(view, peer.domain))
        })
        .collect();
    let mut touched: Vec<&PeerEvidence> = view
        .reports()
        .flat_map(|seen| &seen.peers)
        .filter(|peer| !configured.iter().any(|known| *known.domain == peer.domain))
        .collect();
    touched.sort_by(|a, b| a.domain.cmp(&b.domain));
    touched.dedup_by(|a, b| a.domain == b.domain);
    list.extend(touched.iter().map(|peer| {
        let best = peers::best(view, &peer.domain).unwrap_or(peer);
        peer_status(old, &peer.domain, peers::state(best), Some(best), now)
    }));
    let truncated = list.len() > MAX_PEERS;
    if truncated {
        list.sort_by_key(|peer| !matches!(peer.state, PeerState::Failed | PeerState::Blocked));
        list.truncate(MAX_PEERS);
    }
    let summary = PeerSummary {
        display: format!("{reachable}/{total}"),
        total,
        reachable,
        failing,
        unknown: total.saturating_sub(reachable).saturating_sub(failing),
        truncated,
    };
    (list, summary)
}

/// Adds the last refusal of a configured peer to its message.
fn with_refusal(status: PeerStatus, refusal: Option<String>) -> PeerStatus {
    let Some(refusal) = refusal else { return status };
    let message = match &status.message {
        Some(message) => sentence(&format!("{message} {refusal}")),
        None => sentence(&refusal),
    };
    PeerStatus { message: Some(message), ..status }
}

fn peer_status(
    old: &XmppFederationStatus,
    domain: &Domain,
    state: PeerState,
    evidence: Option<&PeerEvidence>,
    now: Timestamp,
) -> PeerStatus {
    let outbound = evidence.and_then(|peer| peer.outbound.as_ref());
    let inbound = evidence.and_then(|peer| peer.inbound.as_ref());
    let attempt = evidence.and_then(|peer| peer.attempts.last());
    let domain = domain.to_string();
    let reason = outbound
        .map(|stream| &stream.reason)
        .or_else(|| attempt.map(|attempt| &attempt.reason))
        .map_or_else(|| "NotTried".to_owned(), ToString::to_string);
    let step = outbound.map(|s| s.step).or_else(|| attempt.map(|a| a.step));
    let before = old.peers.iter().find(|peer| peer.domain == domain);
    let unchanged = before.filter(|before| before.state == state && before.reason == reason);
    PeerStatus {
        state,
        step: step.map(|step| format!("{step:?}")),
        message: outbound
            .map(|stream| stream.message.as_str())
            .or_else(|| attempt.map(|attempt| attempt.message.as_str()))
            .filter(|message| !message.is_empty())
            .map(sentence),
        address: outbound
            .and_then(|s| s.address)
            .or_else(|| attempt.and_then(|a| a.address))
            .map(|address| address.to_string()),
        tls: outbound.or(inbound).and_then(|stream| stream.tls.as_ref()).map(|tls| PeerTlsStatus {
            version: tls.version.clone(),
            direct: tls.direct,
            verification: tls.verification.to_string(),
            not_after: tls.not_after.map(Time),
        }),
        authentication: authentication(outbound, inbound),
        authenticated_by: authenticated_by(outbound, inbound),
        last_transition_time: Some(
            unchanged.and_then(|peer| peer.last_transition_time.clone()).unwrap_or(Time(now)),
        ),
        domain,
        reason,
    }
}

fn authentication(
    outbound: Option<&PeerStream>,
    inbound: Option<&PeerStream>,
) -> Option<PeerAuthenticationStatus> {
    let word = |stream: Option<&PeerStream>| {
        stream?.authentication.map(|how| {
            match how {
                Authentication::SaslExternal => "SASLExternal",
                Authentication::DialbackWithTLS => "DialbackWithTLS",
                Authentication::DialbackByCertificate => "DialbackByCertificate",
                Authentication::Dialback => "Dialback",
            }
            .to_owned()
        })
    };
    let both = PeerAuthenticationStatus { outbound: word(outbound), inbound: word(inbound) };
    (both != PeerAuthenticationStatus::default()).then_some(both)
}

fn authenticated_by(
    outbound: Option<&PeerStream>,
    inbound: Option<&PeerStream>,
) -> Option<PeerAuthenticatedByStatus> {
    let word = |stream: Option<&PeerStream>| Some(stream?.authenticated_by?.label().to_owned());
    let both = PeerAuthenticatedByStatus { outbound: word(outbound), inbound: word(inbound) };
    (both != PeerAuthenticatedByStatus::default()).then_some(both)
}
