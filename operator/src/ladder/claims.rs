//! Signs that a partner hosts a local domain itself: what it answers to the claim check, and how it rejects our streams. Pure.

use crds::domain::Domain;
use crds::word::Word;
use crds::xmpp::{StanzaCondition, StreamCondition};
use federation_engine::observe::evidence::{
    ClaimEvidence, ClaimOutcome, InboundKind, PeerEvidence, PeerStream,
};
use jiff::SignedDuration;

use super::View;
use super::{outbound, peers};

/// A peer verifies a dialback key before it answers, within the time that stream negotiation may take.
const QUESTION_BEFORE_VERDICT: SignedDuration = SignedDuration::from_mins(5);

/// A partner that claims a domain, and the evidence as one clause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The partner.
    pub partner: Domain,
    /// What it does, in its own words.
    pub evidence: String,
}

/// The claim of a partner on a local domain, if there is one. The claim check comes first, because it is no guess.
pub fn of(view: View<'_>, domain: &Domain) -> Option<Claim> {
    let asked = answers(view, domain).find(|claim| claim.outcome == ClaimOutcome::Claimed);
    let asked =
        asked.map(|claim| Claim { partner: claim.partner.clone(), evidence: claim.detail.clone() });
    asked.or_else(|| {
        peers::states(view).into_iter().find_map(|peer| {
            let evidence = sign(view, peer.domain, peer.evidence?, domain)?;
            // The claim check knows better.
            let denied = answers(view, domain).any(|claim| {
                claim.partner == *peer.domain && claim.outcome == ClaimOutcome::NotClaimed
            });
            (!denied).then(|| Claim { partner: peer.domain.clone(), evidence })
        })
    })
}

/// A partner whose answers to the claim check prove nothing, and its words.
pub fn inconclusive(view: View<'_>, domain: &Domain) -> Option<Claim> {
    let claim = answers(view, domain).find(|claim| claim.outcome == ClaimOutcome::Inconclusive)?;
    Some(Claim { partner: claim.partner.clone(), evidence: claim.detail.clone() })
}

/// The latest answers of each partner of the spec, of any replica.
fn answers<'a>(view: View<'a>, domain: &'a Domain) -> impl Iterator<Item = &'a ClaimEvidence> {
    let wanted = view.federation.spec.verification.claim_check.iter().flat_map(|c| &c.peers);
    wanted.filter_map(move |partner| {
        let about = |claim: &&ClaimEvidence| claim.partner == *partner && claim.local == *domain;
        view.reports().flat_map(|seen| &seen.claims).filter(about).max_by_key(|claim| claim.at)
    })
}

/// How many partners were asked about a domain, and did not claim it.
pub fn asked<'a>(view: View<'a>, domain: &'a Domain) -> Vec<&'a Domain> {
    let free = |claim: &&ClaimEvidence| claim.outcome == ClaimOutcome::NotClaimed;
    answers(view, domain).filter(free).map(|claim| &claim.partner).collect()
}

/// What a configured peer did to a stream from the domain that only a server does which hosts the domain itself. Other peers
/// do not count: a stranger must not be able to change a condition.
fn sign(view: View<'_>, peer: &Domain, evidence: &PeerEvidence, domain: &Domain) -> Option<String> {
    let stream = of_local(evidence, domain)?;
    let words = stream.message.trim_end_matches('.');
    let suspicious = match stream.reason {
        // The key was never verified at any replica, and is called invalid all the same.
        Word::DialbackInvalidUnasked => !was_asked(view, peer, stream),
        // Google's words: "example.com is a Google Apps Domain with Talk service enabled". The others are from XEP-0220 §2.5:
        // it got `invalid` from someone else.
        Word::StreamError => {
            words.contains(StreamCondition::UndefinedCondition.as_str()) && names(words, domain)
        }
        Word::DialbackError => {
            let suspicious = [StanzaCondition::Forbidden, StanzaCondition::Conflict];
            suspicious.iter().any(|condition| words.contains(condition.as_str()))
                && !was_asked(view, peer, stream)
        }
        _ => false,
    };
    suspicious.then(|| outbound::cause(words).to_owned())
}

/// The domain stands in the text by itself, not as a part of another one.
fn names(text: &str, domain: &Domain) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    text.split(|c| !part(c)).any(|word| {
        let word = word.trim_end_matches('.');
        word == domain.as_str() || word == domain.to_ascii()
    })
}

/// The streams from a local domain to the peer.
fn of_local<'a>(evidence: &'a PeerEvidence, domain: &Domain) -> Option<&'a PeerStream> {
    let other = evidence.others.iter().find(|other| other.local == *domain);
    let first = || {
        let local = evidence.local.as_ref().is_none_or(|local| local == domain);
        evidence.outbound.as_ref().filter(|_| local)
    };
    let stream = other.map(|other| &other.stream).or_else(first)?;
    (!stream.connected).then_some(stream)
}

/// Whether a replica confirmed a key to the peer at about the time when another key was rejected. A replica knows only
/// about requests that reached it.
fn was_asked(view: View<'_>, peer: &Domain, refused: &PeerStream) -> bool {
    view.reports().flat_map(|report| &report.inbound).any(|seen| {
        seen.kind == InboundKind::DialbackVerified
            && seen.peer == *peer
            && refused.since.duration_since(seen.at) < QUESTION_BEFORE_VERDICT
    })
}
