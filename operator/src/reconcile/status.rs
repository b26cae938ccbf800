//! Builds the status from verdicts and evidence. Pure.

mod bounded;
mod peers;
mod server;

pub use self::bounded::MAX_STATUS_BYTES;

use crds::XmppFederationStatus;
use crds::condition::{self, Condition, ConditionStatus, ConditionType, sentence};
use crds::domain::Domain;
use crds::federation::backend::{Attachment, Component};
use crds::federation::dns::ResolverAddress;
use crds::reason::PausedReason;
use crds::status::{
    Address as StatusAddress, AddressType, BackendState, BackendStatus, DomainStatus,
    InboundEvidence, InboundStatus, PublicPortsStatus,
};
use federation_engine::observe::evidence::{InboundKind, InboundObservation};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::peers::peers;
use crate::build::Address;
use crate::build::metadata::selector_text;
use crate::configure;
use crate::dns::{compare, zone};
use crate::federation::names;
use crate::federation::validated::Validated;
use crate::ladder::damping::{Damped, Times, damp};
use crate::ladder::verdict::Verdict;
use crate::ladder::{self, Judgement, View, inbound, ready};
use crate::memory::Failing;
use crate::reconcile::away;

/// Every stream brings new inbound evidence; the time in the status advances only in these steps, so that not every stream
/// causes a write.
const INBOUND_STEP: SignedDuration = SignedDuration::from_mins(5);

/// A new status, and the state that the next one needs.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The status.
    pub status: XmppFederationStatus,
    /// Rungs that are still shown as True although they fail, and since when they fail.
    pub failing: Failing,
}

/// The status of an accepted federation.
pub fn judged(old: &XmppFederationStatus, view: View<'_>, failing: &Failing) -> Judged {
    let (federation, seen) = (view.federation, view.seen);
    let generation = federation.generation;
    let Shown { rungs, failing } = Shown::of(old, view, failing);
    let mut status = old.clone();
    let verdicts: Vec<Verdict> = rungs.iter().map(|rung| rung.verdict.clone()).collect();
    for verdict in &verdicts {
        set(&mut status.conditions, verdict, view);
    }
    summarise(&mut status, &verdicts, view);
    status.observed_generation = generation;
    status.host = Some(federation.host.to_ascii());
    status.replicas = seen.cluster.workload.as_ref().map(|workload| workload.total);
    status.selector = Some(selector_text(&federation.name));
    // An address that is not known now is the old one.
    let reached_at = federation.reached_at(seen.cluster.address());
    let own = names::own(&federation.name);
    if reached_at.is_some() || away::unread_service(&seen.applied.problems, &own).is_none() {
        status.addresses = addresses(reached_at.as_ref());
    }
    status.ports = Some(ports(federation));
    status.addresses_changed_time = seen.address_changed.map(Time);
    let records = compare::records(view);
    status.zone_snippet = zone::snippet(&records);
    status.dns_records = compare::bounded(records);
    status.resolvers = seen.dns.looked_for.resolvers.iter().copied().map(ResolverAddress).collect();
    status.domains = domains(old, view, &rungs);
    status.backends = backends(view, &rungs);
    let (peers, summary) = peers(old, view);
    status.peers = peers;
    status.peer_summary = Some(summary);
    status.inbound = inbound_evidence(old, view);
    Judged { status: stamped(old, bounded::bounded(status), seen.now), failing }
}

/// The verdicts as the status shows them.
struct Shown {
    rungs: Vec<Judgement>,
    failing: Failing,
}

impl Shown {
    /// Judges the ladder. Where a failure does not count yet, keeps the shown verdict, for the federation and for each domain;
    /// also where only that failure keeps a rung above from being judged.
    fn of(old: &XmppFederationStatus, view: View<'_>, failing: &Failing) -> Self {
        let mut still = Failing::new();
        let mut held = Vec::new();
        let rungs = ladder::climb(view)
            .into_iter()
            .map(|judged| {
                let type_ = judged.verdict.type_();
                let mut show = |domain: Option<&Domain>, new: Verdict| {
                    let before = shown_before(old, view, domain, type_);
                    if let (Some(before), Some(on)) = (&before, new.waits_for())
                        && before.status() != ConditionStatus::Unknown
                        && held.contains(&on)
                    {
                        return before.clone();
                    }
                    let key = (type_, domain.cloned());
                    let since = failing.get(&key).copied();
                    let times = Times { since, seen_at: seen_at(view, type_), now: view.seen.now };
                    match damp(before, new, times) {
                        Damped::Shown(verdict) => verdict,
                        Damped::Held(verdict, since) => {
                            still.insert(key, since);
                            verdict
                        }
                    }
                };
                let verdict = show(None, judged.verdict);
                let domains = view
                    .federation
                    .domains()
                    .zip(judged.domains)
                    .map(|(domain, verdict)| show(Some(domain), verdict))
                    .collect();
                if still.contains_key(&(type_, None)) && verdict.status() == ConditionStatus::True {
                    held.push(type_);
                }
                Judgement { verdict, domains }
            })
            .collect();
        Self { rungs, failing: still }
    }
}

/// The verdict that is shown now about a condition of the federation or of a domain. One about another spec says nothing.
fn shown_before(
    old: &XmppFederationStatus,
    view: View<'_>,
    domain: Option<&Domain>,
    type_: ConditionType,
) -> Option<Verdict> {
    let conditions = match domain {
        None => Some(&old.conditions),
        Some(domain) => conditions_of(old, domain),
    };
    conditions
        .and_then(|conditions| condition::get(conditions, type_))
        .filter(|shown| shown.observed_generation == view.federation.generation)
        .and_then(Verdict::shown)
}

/// When the evidence about a condition was gathered.
fn seen_at(view: View<'_>, type_: ConditionType) -> Timestamp {
    match type_ {
        ConditionType::HostResolves
        | ConditionType::SRVResolves
        | ConditionType::DomainUncontested => view.seen.dns.at,
        ConditionType::TLSVerified | ConditionType::StreamVerified => view.seen.probes.at,
        ConditionType::InboundReachable if !view.seen.outside.reports.is_empty() => {
            view.seen.outside.at
        }
        _ => view.seen.now,
    }
}

fn conditions_of<'a>(
    status: &'a XmppFederationStatus,
    domain: &Domain,
) -> Option<&'a Vec<Condition>> {
    let known = status.domains.iter().find(|known| known.name == domain.as_str())?;
    Some(&known.conditions)
}

fn set(conditions: &mut Vec<Condition>, verdict: &Verdict, view: View<'_>) {
    let (generation, now) = (view.federation.generation, view.seen.now);
    condition::set(conditions, verdict.clone().into_condition(generation, now));
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

fn summarise(status: &mut XmppFederationStatus, rungs: &[Verdict], view: View<'_>) {
    let (now, generation) = (view.seen.now, view.federation.generation);
    let spec = &view.federation.spec;
    let wanted = i32::from(spec.replicas);
    let gates = ready::Gates {
        require_outside_evidence: spec.verification.require_outside_evidence,
        required_peer: ladder::peers::required_failing(view),
        rolling_out: view.seen.cluster.workload.as_ref().is_none_or(|workload| {
            !workload.observed
                || workload.updated != wanted
                || workload.ready != wanted
                || workload.total != wanted
        }),
        rollout_waits: view.seen.rollout_waits.clone(),
        rollout_stuck: view.seen.cluster.workload.as_ref().is_some_and(|workload| workload.stuck),
    };
    whole(status, rungs, &gates, generation, now);
    if spec.paused {
        let paused = Verdict::new(
            PausedReason::PausedByUser,
            "spec.paused is true, so the operator applies no children. It still renews certificates, verifies, and updates the status.",
        );
        condition::set(&mut status.conditions, paused.into_condition(generation, now));
    } else {
        condition::remove(&mut status.conditions, ConditionType::Paused);
    }
}

/// `Ready`, and the conditions that are present only while true.
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
        (ConditionType::Stalled, ready::stalled(rungs, gates)),
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

/// The time changes only with another field, so that an unchanged status is not written. The API server has times in whole
/// seconds, so a status with others would differ from the stored one in every pass.
fn stamped(
    old: &XmppFederationStatus,
    mut new: XmppFederationStatus,
    now: Timestamp,
) -> XmppFederationStatus {
    new.last_verified_time.clone_from(&old.last_verified_time);
    let mut new = as_stored(new);
    if new != *old {
        new.last_verified_time = Some(Time(now));
        new = as_stored(new);
    }
    new
}

/// The status as it is read again after it was written.
fn as_stored(status: XmppFederationStatus) -> XmppFederationStatus {
    serde_json::to_value(&status).and_then(serde_json::from_value).unwrap_or(status)
}

/// When the addresses or ports last changed. The first ones are not a change, because there were none before.
pub fn address_changed(
    old: &XmppFederationStatus,
    federation: &Validated,
    address: Option<&Address>,
    now: Timestamp,
) -> Option<Timestamp> {
    let same_ports = old.ports.is_none_or(|known| known == ports(federation));
    if old.addresses.is_empty() || (old.addresses == addresses(address) && same_ports) {
        return old.addresses_changed_time.as_ref().map(|time| time.0);
    }
    Some(now)
}

fn ports(federation: &Validated) -> PublicPortsStatus {
    PublicPortsStatus { s2s: federation.public_port(), s2s_tls: federation.public_tls_port() }
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

/// Every domain with the rungs that are judged for each domain, from the same evidence as the federation's.
fn domains(old: &XmppFederationStatus, view: View<'_>, rungs: &[Judgement]) -> Vec<DomainStatus> {
    let one = |(index, domain): (usize, &Domain)| {
        let mut conditions = conditions_of(old, domain).cloned().unwrap_or_default();
        for verdict in rungs.iter().filter_map(|rung| rung.domains.get(index)) {
            set(&mut conditions, verdict, view);
        }
        DomainStatus { name: domain.to_string(), conditions }
    };
    view.federation.domains().enumerate().map(one).collect()
}

fn backends(view: View<'_>, rungs: &[Judgement]) -> Vec<BackendStatus> {
    let federation = view.federation;
    let spec = &federation.spec;
    let verdicts = rungs
        .iter()
        .find(|rung| rung.verdict.type_() == ConditionType::BackendReady)
        .map_or(&[][..], |rung| rung.domains.as_slice());
    let of = |backend: &crds::federation::backend::Backend| {
        let (hosted, verdicts): (Vec<&Domain>, Vec<&Verdict>) = spec
            .domains
            .iter()
            .zip(verdicts)
            .filter(|(domain, _)| spec.backend_of(domain).is_some_and(|b| b.name == backend.name))
            .map(|(domain, verdict)| (&domain.name, verdict))
            .unzip();
        let worst = verdicts
            .iter()
            .find(|verdict| verdict.status() == ConditionStatus::False)
            .or_else(|| verdicts.iter().find(|v| v.status() == ConditionStatus::Unknown))
            .or(verdicts.first());
        let server = match &backend.attachment {
            Attachment::Server(server) => Some(server),
            Attachment::Component(_) => None,
        };
        let (name, namespace) = (&federation.name, &federation.namespace);
        let dns_server = view.seen.cluster.backend_ip.filter(|_| server.is_some());
        let tls_secret = server.map(|_| federation.backend_tls(&backend.name));
        let found = server.and_then(|_| server::found(view, &backend.name, &hosted));
        BackendStatus {
            name: backend.name.clone(),
            dns_server: dns_server.map(|ip| ip.to_string()),
            ca_config_map: server.map(|_| names::backend_ca(&federation.name)),
            tls_secret: tls_secret.clone(),
            ca_renewal_time: server.and(view.seen.references.ca_renewal).map(Time),
            server: found.clone(),
            configure: Some(match &backend.attachment {
                Attachment::Server(server) => {
                    let (authentication, tls) =
                        (server.authentication, tls_secret.as_deref().unwrap_or_default());
                    let found = found.as_ref().map(|found| found.type_);
                    let at = (name.as_str(), namespace.as_str());
                    configure::backend(at, authentication, dns_server, &hosted, tls, found)
                }
                Attachment::Component(Component { secret_ref }) => {
                    configure::component(name, namespace, secret_ref, spec.replicas, &hosted)
                }
            }),
            state: match worst.map(|verdict| verdict.status()) {
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

/// The last evidence from outside, as the status has it; `None` if the status does not say for which domain it was.
pub fn remembered(old: &XmppFederationStatus) -> Option<InboundObservation> {
    let known = old.inbound.as_ref()?;
    Some(InboundObservation {
        kind: match known.evidence {
            InboundEvidence::Stream => InboundKind::StreamAuthenticated,
            InboundEvidence::Dialback => InboundKind::DialbackVerified,
            InboundEvidence::Other => InboundKind::StreamOpened,
            InboundEvidence::Probe => return None,
        },
        peer: known.peer.as_deref()?.parse().ok()?,
        local: known.domain.as_deref()?.parse().ok()?,
        source: known.source_address.as_deref()?.parse().ok()?,
        at: known.observed_time.0,
    })
}

fn inbound_evidence(old: &XmppFederationStatus, view: View<'_>) -> Option<InboundStatus> {
    let certain = inbound::fresh(view).filter(|found| found.kind != InboundKind::StreamOpened);
    let new = match (certain, inbound::prober(view)) {
        (Some(found), _) => by_peer(found),
        (None, Some(prober)) => InboundStatus {
            evidence: InboundEvidence::Probe,
            source_address: None,
            peer: None,
            domain: view.federation.domains().next().map(ToString::to_string),
            prober: Some(prober.prober),
            observed_time: Time(prober.at),
        },
        (None, None) => by_peer(inbound::strongest(view)?),
    };
    match &old.inbound {
        Some(known)
            if known.evidence == new.evidence
                && known.prober == new.prober
                && known.domain.is_some()
                && new.observed_time.0.duration_since(known.observed_time.0) < INBOUND_STEP =>
        {
            Some(known.clone())
        }
        _ => Some(new),
    }
}

fn by_peer(found: &InboundObservation) -> InboundStatus {
    InboundStatus {
        evidence: match found.kind {
            InboundKind::StreamAuthenticated => InboundEvidence::Stream,
            InboundKind::DialbackVerified => InboundEvidence::Dialback,
            InboundKind::StreamOpened => InboundEvidence::Other,
        },
        source_address: Some(found.source.to_canonical().to_string()),
        peer: Some(found.peer.to_string()),
        domain: Some(found.local.to_string()),
        prober: None,
        observed_time: Time(found.at),
    }
}
