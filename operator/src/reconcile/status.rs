//! From verdicts and evidence to the status. Pure.

use crds::XmppFederationStatus;
use crds::condition::{self, Condition, ConditionStatus, ConditionType, sentence};
use crds::domain::Domain;
use crds::federation::backend::Attachment;
use crds::reason::PausedReason;
use crds::status::{
    Address as StatusAddress, AddressType, BackendState, BackendStatus, DomainStatus,
    InboundEvidence, InboundStatus, MAX_PEERS, PeerAuthenticatedByStatus, PeerAuthenticationStatus,
    PeerState, PeerStatus, PeerSummary, PeerTlsStatus,
};
use federation_engine::observe::evidence::{Authentication, InboundKind, PeerEvidence, PeerStream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::build::{Address, names};
use crate::configure;
use crate::ladder::damping::{Damped, damp};
use crate::ladder::verdict::Verdict;
use crate::ladder::{self, View, backend, inbound, peers, ready, refusal};
use crate::memory::Failing;
use crate::records;

/// Inbound evidence comes with every stream; the status follows in these steps, so that it is not written each time.
const INBOUND_STEP: SignedDuration = SignedDuration::from_mins(5);

/// A new status, and what has to be remembered for the next one.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The status.
    pub status: XmppFederationStatus,
    /// Rungs that are shown as True although they fail, and since when.
    pub failing: Failing,
}

/// The status of a federation that was judged.
pub fn judged(old: &XmppFederationStatus, view: View<'_>, failing: &Failing) -> Judged {
    let (federation, seen) = (view.federation, view.seen);
    let (now, generation) = (seen.now, federation.generation);
    let mut status = old.clone();
    let mut still_failing = Failing::new();
    let mut shown = Vec::new();
    for verdict in ladder::climb(view) {
        let type_ = verdict.type_;
        let before = condition::get(&old.conditions, type_);
        match damp(before.map(|c| c.status), &verdict, failing.get(&type_).copied(), now) {
            Damped::Shown => {
                condition::set(
                    &mut status.conditions,
                    verdict.clone().into_condition(generation, now),
                );
                shown.push(verdict);
            }
            Damped::Held(since) => {
                still_failing.insert(type_, since);
                shown.extend(before.and_then(held));
            }
        }
    }
    summarise(&mut status, &shown, view);
    status.observed_generation = generation;
    status.host = Some(federation.host.to_ascii());
    status.addresses = addresses(seen.cluster.address());
    status.dns_records = records::of(view);
    status.zone_snippet = records::zone_snippet(&status.dns_records);
    status.domains = domains(old, view);
    status.backends = backends(view);
    let (peers, summary) = peer_list(old, view);
    status.peers = peers;
    status.peer_summary = Some(summary);
    status.inbound = inbound_evidence(old, view);
    Judged { status: stamped(old, status, now), failing: still_failing }
}

/// The status of a federation that cannot be accepted.
pub fn rejected(
    old: &XmppFederationStatus,
    accepted: Verdict,
    generation: Option<i64>,
    now: Timestamp,
) -> XmppFederationStatus {
    let mut status = old.clone();
    let rungs = ladder::rejected(accepted);
    for verdict in &rungs {
        condition::set(&mut status.conditions, verdict.clone().into_condition(generation, now));
    }
    whole(&mut status, &rungs, &ready::Gates::default(), generation, now);
    condition::remove(&mut status.conditions, ConditionType::Paused);
    status.observed_generation = generation;
    stamped(old, status, now)
}

/// A condition that stays as it is counts as the verdict that it was.
fn held(condition: &Condition) -> Option<Verdict> {
    Some(Verdict {
        type_: ConditionType::from_name(&condition.type_)?,
        status: condition.status,
        reason: condition.reason.clone().into(),
        message: condition.message.clone(),
    })
}

fn summarise(status: &mut XmppFederationStatus, rungs: &[Verdict], view: View<'_>) {
    let (now, generation) = (view.seen.now, view.federation.generation);
    let spec = &view.federation.spec;
    let wanted = i32::from(spec.replicas);
    let gates = ready::Gates {
        require_outside_evidence: spec.verification.require_outside_evidence,
        required_peer: peers::required_failing(view),
        rolling_out: view.seen.cluster.workload.as_ref().is_none_or(|workload| {
            !workload.observed
                || workload.updated != wanted
                || workload.ready != wanted
                || workload.total != wanted
        }),
    };
    whole(status, rungs, &gates, generation, now);
    if spec.paused {
        let paused = Verdict::new(
            PausedReason::PausedByUser,
            "spec.paused is true: children are not applied; certificates, verification and status go on.",
        );
        condition::set(&mut status.conditions, paused.into_condition(generation, now));
    } else {
        condition::remove(&mut status.conditions, ConditionType::Paused);
    }
}

/// `Ready` and what is present only while true.
fn whole(
    status: &mut XmppFederationStatus,
    rungs: &[Verdict],
    gates: &ready::Gates,
    generation: Option<i64>,
    now: Timestamp,
) {
    let ready = ready::check(rungs, gates);
    let passing = [
        (ConditionType::Reconciling, ready::reconciling(rungs, gates, &ready)),
        (ConditionType::Stalled, ready::stalled(rungs)),
    ];
    condition::set(&mut status.conditions, ready.into_condition(generation, now));
    for (type_, verdict) in passing {
        match verdict {
            Some(verdict) => {
                condition::set(&mut status.conditions, verdict.into_condition(generation, now));
            }
            None => {
                condition::remove(&mut status.conditions, type_);
            }
        }
    }
    status.stage = Some(condition::stage(&status.conditions).as_str().to_owned());
}

/// The time moves only when something else does: a status that says the same is not written.
fn stamped(
    old: &XmppFederationStatus,
    mut new: XmppFederationStatus,
    now: Timestamp,
) -> XmppFederationStatus {
    new.last_verified_time.clone_from(&old.last_verified_time);
    if new != *old {
        new.last_verified_time = Some(Time(now));
    }
    new
}

fn addresses(address: Option<&Address>) -> Vec<StatusAddress> {
    match address {
        None => Vec::new(),
        Some(Address::Hostname(name)) => {
            vec![StatusAddress { type_: AddressType::Hostname, value: name.clone() }]
        }
        Some(Address::Ips(ips)) => ips
            .iter()
            .take(16)
            .map(|ip| StatusAddress { type_: AddressType::IPAddress, value: ip.to_string() })
            .collect(),
    }
}

/// Every domain with the rungs that are judged domain by domain. What the whole rung waits for, the domain waits for.
fn domains(old: &XmppFederationStatus, view: View<'_>) -> Vec<DomainStatus> {
    let (now, generation) = (view.seen.now, view.federation.generation);
    let whole = ladder::climb(view);
    let one = |domain: &Domain| {
        let name = domain.to_string();
        let mut conditions = old
            .domains
            .iter()
            .find(|known| known.name == name)
            .map(|known| known.conditions.clone())
            .unwrap_or_default();
        for rung in &whole {
            let verdict = if rung.is_waiting() {
                ladder::is_by_domain(rung.type_).then(|| rung.clone())
            } else {
                ladder::for_domain(rung.type_, view, domain)
            };
            if let Some(verdict) = verdict {
                condition::set(&mut conditions, verdict.into_condition(generation, now));
            }
        }
        DomainStatus { name, conditions }
    };
    view.federation.domains().map(one).collect()
}

fn backends(view: View<'_>) -> Vec<BackendStatus> {
    let federation = view.federation;
    let spec = &federation.spec;
    let of = |backend: &crds::federation::backend::Backend| {
        let hosted: Vec<&Domain> = spec
            .domains
            .iter()
            .filter(|domain| spec.backend_of(domain).is_some_and(|b| b.name == backend.name))
            .map(|domain| &domain.name)
            .collect();
        let verdicts: Vec<Verdict> =
            hosted.iter().map(|domain| backend::for_domain(view, domain)).collect();
        let worst = verdicts
            .iter()
            .find(|verdict| verdict.status == ConditionStatus::False)
            .or_else(|| verdicts.iter().find(|v| v.status == ConditionStatus::Unknown))
            .or(verdicts.first());
        let server = match &backend.attachment {
            Attachment::Server(server) => Some(server),
            Attachment::Component(_) => None,
        };
        let dns_server = view.seen.cluster.backend_ip.filter(|_| server.is_some());
        BackendStatus {
            name: backend.name.clone(),
            dns_server: dns_server.map(|ip| ip.to_string()),
            ca_config_map: server.map(|_| names::backend_ca(&federation.name)),
            tls_secret: server.map(|_| names::backend_tls(&federation.name)),
            configure: server.map(|server| {
                let (name, namespace) = (&federation.name, &federation.namespace);
                configure::backend(name, namespace, server.authentication, dns_server, &hosted)
            }),
            state: match worst.map(|verdict| verdict.status) {
                Some(ConditionStatus::True) => BackendState::Connected,
                Some(ConditionStatus::False) => BackendState::Failed,
                Some(ConditionStatus::Unknown) | None => BackendState::Unknown,
            },
            reason: worst.map(|verdict| verdict.reason.to_string()),
            message: worst.map(|verdict| sentence(&verdict.message)),
        }
    };
    spec.backends.iter().map(of).collect()
}

/// Configured peers first, then those that traffic has touched; of too many, the failing ones are kept first.
fn peer_list(old: &XmppFederationStatus, view: View<'_>) -> (Vec<PeerStatus>, PeerSummary) {
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

/// Adds what was refused of a configured peer.
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
        .map(|stream| stream.reason.clone())
        .or_else(|| attempt.map(|attempt| attempt.reason.clone()))
        .unwrap_or_else(|| "NotTried".to_owned());
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
            verification: tls.verification.clone(),
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

fn inbound_evidence(old: &XmppFederationStatus, view: View<'_>) -> Option<InboundStatus> {
    let found = inbound::strongest(view)?;
    let new = InboundStatus {
        evidence: match found.kind {
            InboundKind::StreamAuthenticated => InboundEvidence::Stream,
            InboundKind::DialbackVerified => InboundEvidence::Dialback,
            InboundKind::StreamOpened => InboundEvidence::Other,
        },
        source_address: Some(found.source.to_canonical().to_string()),
        peer: Some(found.peer.to_string()),
        observed_time: Time(found.at),
    };
    match &old.inbound {
        Some(known)
            if known.evidence == new.evidence
                && new.observed_time.0.duration_since(known.observed_time.0) < INBOUND_STEP =>
        {
            Some(known.clone())
        }
        _ => Some(new),
    }
}
