//! `status.peers` and `status.peerSummary`. Pure.

use crds::XmppFederationStatus;
use crds::condition::sentence;
use crds::domain::Domain;
use crds::status::{
    MAX_PEERS, PeerAttempt, PeerAuthenticatedByStatus, PeerAuthenticationStatus,
    PeerDialbackStatus, PeerDnsStatus, PeerDomainStatus, PeerFlowResult, PeerFlowStatus, PeerState,
    PeerStatus, PeerSummary, PeerTlsStatus,
};
use crds::word::Word;
use federation_engine::observe::evidence::{
    Authentication, FlowOutcome, InboundKind, LocalStream, PeerEvidence, PeerStream,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::ladder::peers::PeerView;
use crate::ladder::{View, peers, refusal, side};

/// Most attempts of a peer in the status.
const MAX_ATTEMPTS: usize = 4;

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
            let status = with_flow(with_local(status, peer), view, peer.domain);
            let status = PeerStatus { dns: dns(view, peer.domain), ..status };
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

/// The peer's DNS records, as far as they have been queried.
fn dns(view: View<'_>, domain: &Domain) -> Option<PeerDnsStatus> {
    let found = view.seen.peer_dns.peers.get(domain)?;
    Some(PeerDnsStatus {
        resolver: found.resolver.clone(),
        srv: found.srv.clone(),
        addresses: found.addresses.clone(),
        error: found.error.as_deref().map(sentence),
    })
}

/// The peer refuses only some local domains: the first of them is the reason.
fn with_local(status: PeerStatus, peer: &PeerView<'_>) -> PeerStatus {
    let Some(LocalStream { local, stream }) = peer.failing_local() else { return status };
    PeerStatus {
        action: side::of(&stream.reason),
        step: Some(format!("{:?}", stream.step)),
        reason: stream.reason.to_string(),
        message: Some(sentence(&format!("From {local} only: {}", stream.message))),
        ..status
    }
}

/// Adds the steps of dialback, and the result of the ping.
fn with_flow(status: PeerStatus, view: View<'_>, domain: &Domain) -> PeerStatus {
    let verify_received = view
        .reports()
        .flat_map(|seen| &seen.inbound)
        .any(|seen| seen.kind == InboundKind::DialbackVerified && seen.peer == *domain);
    let flow = peers::flows(view, domain).min_by_key(|flow| match peers::result(view, flow) {
        FlowOutcome::NoAnswer => 0,
        FlowOutcome::AnsweredWithError => 1,
        FlowOutcome::Answered => 2,
    });
    let flow = flow.map(|flow| PeerFlowStatus {
        to: flow.to.clone(),
        result: match peers::result(view, flow) {
            FlowOutcome::Answered => PeerFlowResult::Answered,
            FlowOutcome::AnsweredWithError => PeerFlowResult::AnsweredWithError,
            FlowOutcome::NoAnswer => PeerFlowResult::NoAnswer,
        },
    });
    let mut status = PeerStatus { dialback: dialback(&status, verify_received), flow, ..status };
    if status.flow.as_ref().is_some_and(|f| f.result == PeerFlowResult::AnsweredWithError) {
        let to = status.flow.as_ref().map(|flow| flow.to.clone()).unwrap_or_default();
        let hint =
            format!("The peer answered the ping to {to} with an error. {}", peers::WRONG_ADDRESS);
        let message = status
            .message
            .take()
            .map_or_else(|| hint.clone(), |message| format!("{message} {hint}"));
        status.message = Some(sentence(&message));
    }
    status
}

/// The steps of dialback in our name (XEP-0220 §2), as far as they are known.
fn dialback(status: &PeerStatus, verify_received: bool) -> Option<PeerDialbackStatus> {
    let outbound = status.authentication.as_ref().and_then(|both| both.outbound.as_deref());
    let by_dialback = outbound.is_some_and(|how| how.starts_with("Dialback"));
    let answer = match Word::from(status.reason.as_str()) {
        Word::Connected if by_dialback => "valid",
        Word::DialbackInvalid | Word::DialbackInvalidUnasked => "invalid",
        Word::DialbackError => "error",
        Word::DialbackTimedOut => "none",
        _ => return None,
    };
    Some(PeerDialbackStatus { key_sent: true, verify_received, answer: answer.to_owned() })
}

/// The last attempts. Their times advance only with a change, so that a repeated failure causes no write.
fn attempts(before: Option<&PeerStatus>, evidence: Option<&PeerEvidence>) -> Vec<PeerAttempt> {
    let all = evidence.map(|peer| peer.attempts.as_slice()).unwrap_or_default();
    let last = all.iter().skip(all.len().saturating_sub(MAX_ATTEMPTS));
    let new: Vec<PeerAttempt> = last
        .map(|attempt| PeerAttempt {
            time: Time(attempt.at),
            step: format!("{:?}", attempt.step),
            reason: attempt.reason.to_string(),
            address: attempt.address.map(|address| address.to_string()),
        })
        .collect();
    let timeless = |list: &[PeerAttempt]| -> Vec<_> {
        list.iter().map(|a| (a.step.clone(), a.reason.clone(), a.address.clone())).collect()
    };
    match before {
        Some(before) if timeless(&before.attempts) == timeless(&new) => before.attempts.clone(),
        _ => new,
    }
}

/// The local domains whose streams end for another reason.
fn domains(evidence: Option<&PeerEvidence>) -> Vec<PeerDomainStatus> {
    let others = evidence.map(|peer| peer.others.as_slice()).unwrap_or_default();
    let one = |LocalStream { local, stream }: &LocalStream| PeerDomainStatus {
        name: local.to_string(),
        state: match stream.reason {
            Word::Connected => PeerState::Connected,
            Word::BlockedByLocalPolicy => PeerState::Blocked,
            _ => PeerState::Failed,
        },
        reason: stream.reason.to_string(),
        message: Some(&stream.message).filter(|text| !text.is_empty()).map(|text| sentence(text)),
    };
    others.iter().map(one).collect()
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
    let action = side::of(&outbound.map_or(Word::Connected, |stream| stream.reason.clone()));
    let unchanged = before.filter(|before| before.state == state && before.reason == reason);
    PeerStatus {
        state,
        action,
        domains: domains(evidence),
        dns: None,
        attempts: attempts(before, evidence),
        dialback: None,
        flow: None,
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

#[cfg(test)]
mod tests;
