//! `BackendReady`: a ping from the engine's probe domain has come back through every backend, which shows both directions
//! and the backend's DNS at once.

use crds::domain::Domain;
use crds::federation::reference::SecretKey;
use crds::reason::BackendReadyReason;
use federation_engine::observe::evidence::{BackendOutcome, BackendRoundTrip};
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::build::{components, ports};
use crate::evidence::engine::Report;
use crate::federation::names;

/// Time after which an answer that ended at a pod that has gone no longer explains a missing one.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, _: &[Verdict]) -> Verdict {
    if view.federation.spec.backends.is_empty() {
        return none_configured();
    }
    Verdict::new(
        BackendReadyReason::RoundTripSeen,
        "Every domain answered a ping from the engine's probe domain, so both directions and the backend's DNS work.",
    )
}

fn none_configured() -> Verdict {
    Verdict::new(
        BackendReadyReason::NoBackendConfigured,
        "No backend is configured, so the engine answers ping and disco itself and bounces everything else. Add your server to spec.backends.",
    )
}

/// Judges the backend of one domain: the worst of what the replicas saw last.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let spec = &view.federation.spec;
    let local = spec.domains.iter().find(|local| local.name == *domain);
    let Some(backend) = local.and_then(|local| spec.backend_of(local)) else {
        return none_configured();
    };
    let trips: Vec<&BackendRoundTrip> = view
        .reports()
        .filter_map(|evidence| evidence.backends.iter().find(|trip| trip.domain == *domain))
        .collect();
    let fates: Vec<Fate<'_>> = trips.into_iter().map(|trip| fate(view, trip)).collect();
    if let Some(trip) = fates.iter().find_map(Fate::failure) {
        return failed(view, trip);
    }
    if fates.contains(&Fate::CameBack) {
        return Verdict::new(
            BackendReadyReason::RoundTripSeen,
            format!("A ping to {domain} came back through backend {}.", backend.name),
        );
    }
    let unreachable = view.seen.engines.iter().find_map(|engine| match &engine.report {
        Report::Unreachable(why) => Some((&engine.replica.name, why)),
        Report::Waiting | Report::Seen(_) => None,
    });
    match unreachable {
        Some((pod, why)) => {
            Verdict::new(BackendReadyReason::EvidenceUnavailable, view.unqueried(pod, why))
        }
        None => Verdict::new(
            BackendReadyReason::Probing,
            format!("No ping to {domain} has completed yet."),
        ),
    }
}

/// The outcome of one replica's ping, judged by what all replicas saw.
#[derive(Debug, PartialEq)]
enum Fate<'a> {
    CameBack,
    Failed(&'a BackendRoundTrip),
    Open,
}

impl<'a> Fate<'a> {
    fn failure(&self) -> Option<&'a BackendRoundTrip> {
        match self {
            Self::Failed(trip) => Some(trip),
            Self::CameBack | Self::Open => None,
        }
    }
}

/// The backend's stream to the probe domain may arrive at any replica, not only at the one that sent the ping.
fn fate<'a>(view: View<'a>, trip: &'a BackendRoundTrip) -> Fate<'a> {
    let unanswered =
        matches!(trip.outcome, BackendOutcome::AnswerAwaited | BackendOutcome::NoAnswer);
    if !unanswered {
        let good = trip.outcome == BackendOutcome::RoundTripSeen;
        return if good { Fate::CameBack } else { Fate::Failed(trip) };
    }
    let answered = view
        .reports()
        .flat_map(|evidence| &evidence.answers)
        .any(|answer| answer.domain == trip.domain && answer.ping == trip.ping);
    let all_reported =
        view.seen.engines.iter().all(|engine| matches!(engine.report, Report::Seen(_)));
    match trip.outcome {
        _ if answered => Fate::CameBack,
        BackendOutcome::NoAnswer if all_reported && !is_changing(view) => Fate::Failed(trip),
        _ => Fate::Open,
    }
}

/// A pod has gone or come just now. The answer may have ended at a pod that has gone, which says nothing about the backend.
fn is_changing(view: View<'_>) -> bool {
    let now = view.seen.now;
    view.seen.cluster.pods.iter().any(|pod| {
        pod.terminating || pod.turned.is_some_and(|at| now.duration_since(at) < SETTLED_AFTER)
    })
}

fn failed(view: View<'_>, trip: &BackendRoundTrip) -> Verdict {
    let BackendRoundTrip { backend, domain, outcome, detail, ping: _, at: _ } = trip;
    let name = &view.federation.name;
    let ca = names::backend_ca(name);
    let dns = view
        .seen
        .cluster
        .backend_ip
        .map_or_else(|| names::backend_service(name), |ip| ip.to_string());
    let (reason, action) = match outcome {
        BackendOutcome::HostNotFound => (
            BackendReadyReason::HostNotFound,
            format!("Its host name does not resolve. Correct spec.backends[{backend}].server.host, or create the Service that it names."),
        ),
        BackendOutcome::ConnectRefused => (
            BackendReadyReason::ConnectRefused,
            format!("Nothing listens there. Start the server, or correct spec.backends[{backend}].server.port (usually {} for servers).", ports::S2S),
        ),
        BackendOutcome::ConnectTimedOut => (
            BackendReadyReason::ConnectTimedOut,
            "It does not answer. Check for a NetworkPolicy that blocks connections from the engine pods.".to_owned(),
        ),
        BackendOutcome::BackendRejectsMintedCertificate => (
            BackendReadyReason::BackendRejectsMintedCertificate,
            format!("Configure the backend to trust key ca.crt of ConfigMap {ca} for server-to-server streams; status.backends shows how."),
        ),
        BackendOutcome::BackendCertificateUntrusted => (
            BackendReadyReason::BackendCertificateUntrusted,
            format!("Give the backend the certificate in Secret {}, or set spec.backends[{backend}].server.trust to the CA of its own certificate.", view.federation.backend_tls(backend)),
        ),
        BackendOutcome::BackendDialbackFailed => (
            BackendReadyReason::BackendDialbackFailed,
            format!("The backend's DNS must resolve the remote domain to the engine. Configure the backend to use DNS server {dns}."),
        ),
        BackendOutcome::DomainNotHosted => (
            BackendReadyReason::DomainNotHosted,
            format!("Add {domain} to the backend as a virtual host, or name the correct backend in spec.domains."),
        ),
        BackendOutcome::NoAnswer if component(view, backend).is_some() => (
            BackendReadyReason::BackendDoesNotReachEngine,
            "The component is connected and did not answer a ping. It must answer every iq (RFC 6120 section 8.2.3); check its log.".to_owned(),
        ),
        BackendOutcome::NoAnswer => (
            BackendReadyReason::BackendDoesNotReachEngine,
            format!("The engine reaches the backend, but no answer comes back. The backend must use DNS server {dns}, have an address in spec.dns.clients, and trust key ca.crt of ConfigMap {ca}; status.backends shows how."),
        ),
        BackendOutcome::ComponentNotConnected | BackendOutcome::ComponentRejected => {
            (BackendReadyReason::ComponentNotConnected, connect_component(view, backend))
        }
        BackendOutcome::StreamFailed => (
            BackendReadyReason::StreamFailed,
            "Check the backend's log at that time.".to_owned(),
        ),
        BackendOutcome::AnswerAwaited => (BackendReadyReason::Probing, String::new()),
        BackendOutcome::RoundTripSeen => (BackendReadyReason::RoundTripSeen, String::new()),
    };
    Verdict::new(
        reason,
        format!("Backend {backend} for {domain}: {}. {action}", detail.trim_end_matches('.')),
    )
}

/// The secret of a backend that is a component.
fn component<'a>(view: View<'a>, backend: &str) -> Option<&'a SecretKey> {
    let (_, secret) =
        components::references(&view.federation.spec).find(|(name, _)| *name == backend)?;
    Some(secret)
}

/// What to do about a component that is not connected.
fn connect_component(view: View<'_>, backend: &str) -> String {
    let Some(SecretKey { name, key }) = component(view, backend) else {
        return "Start the component.".to_owned();
    };
    let federation = view.federation;
    let service = names::backend_service(&federation.name);
    let connect = format!(
        "Connect the component to {service}.{}.svc, port {}, with key {key} of Secret {name} as its secret.",
        federation.namespace,
        ports::COMPONENT
    );
    if federation.spec.replicas > 1 {
        return format!(
            "{connect} Each of the {} engine pods needs a connection; set spec.replicas to 1 for a component with one connection.",
            federation.spec.replicas
        );
    }
    connect
}
