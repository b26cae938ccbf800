//! `BackendReady`: a ping from the engine's probe domain has come back through every backend, which shows both directions
//! and the backend's DNS at once.

use crds::domain::Domain;
use crds::federation::reference::SecretKey;
use crds::reason::BackendReadyReason;
use federation_engine::observe::evidence::{BackendOutcome, BackendRoundTrip};
use jiff::SignedDuration;

use super::verdict::Verdict;
use super::{View, contact};
use crate::build::{components, ports};
use crate::evidence::engine::Report;
use crate::federation::names;

/// Time after which an answer that ended at a pod that has gone no longer explains a missing one.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, domains: &[Verdict]) -> Verdict {
    if view.federation.spec.backends.is_empty() {
        return none_configured();
    }
    let conflict = BackendReadyReason::ComponentConflict.into();
    if let Some(conflict) = domains.iter().find(|verdict| verdict.reason == conflict) {
        return conflict.clone();
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
    if let Some(trip) = fates.iter().find_map(Fate::conflict) {
        return in_conflict(view, trip);
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
    Conflict(&'a BackendRoundTrip),
    Failed(&'a BackendRoundTrip),
    Open,
}

impl<'a> Fate<'a> {
    fn failure(&self) -> Option<&'a BackendRoundTrip> {
        match self {
            Self::Failed(trip) => Some(trip),
            Self::CameBack | Self::Conflict(_) | Self::Open => None,
        }
    }

    fn conflict(&self) -> Option<&'a BackendRoundTrip> {
        match self {
            Self::Conflict(trip) => Some(trip),
            Self::CameBack | Self::Failed(_) | Self::Open => None,
        }
    }
}

/// The backend's stream to the probe domain may arrive at any replica, not only at the one that sent the ping.
fn fate<'a>(view: View<'a>, trip: &'a BackendRoundTrip) -> Fate<'a> {
    let unanswered = matches!(
        trip.outcome,
        BackendOutcome::AnswerAwaited | BackendOutcome::NoAnswer | BackendOutcome::DoesNotAnswer
    );
    if !unanswered {
        return match trip.outcome {
            BackendOutcome::RoundTripSeen => Fate::CameBack,
            BackendOutcome::ComponentConflict => Fate::Conflict(trip),
            _ => Fate::Failed(trip),
        };
    }
    let answered = view
        .reports()
        .flat_map(|evidence| &evidence.answers)
        .any(|answer| answer.domain == trip.domain && answer.ping == trip.ping);
    let all_reported =
        view.seen.engines.iter().all(|engine| matches!(engine.report, Report::Seen(_)));
    match trip.outcome {
        _ if answered => Fate::CameBack,
        // A component answers on the stream that the ping came by, which leads to no other replica.
        BackendOutcome::NoAnswer if component(view, &trip.backend).is_some() => Fate::Failed(trip),
        BackendOutcome::NoAnswer | BackendOutcome::DoesNotAnswer
            if all_reported && !is_changing(view) =>
        {
            Fate::Failed(trip)
        }
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

/// A domain works for the component that has it. The other one serves nobody.
fn in_conflict(view: View<'_>, trip: &BackendRoundTrip) -> Verdict {
    let BackendRoundTrip { backend, detail, .. } = trip;
    let secret = component(view, backend).map_or_else(String::new, |SecretKey { name, key }| {
        format!(" Give a different component a domain and a backend of its own, with a secret other than key {key} of Secret {name}.")
    });
    let replicas = view.federation.spec.replicas;
    Verdict::new(
        BackendReadyReason::ComponentConflict,
        format!(
            "Backend {backend}: {}. Each engine pod accepts one component for a domain: run at most as many instances as engine pods ({replicas}).{secret}",
            detail.trim_end_matches('.')
        ),
    )
}

fn failed(view: View<'_>, trip: &BackendRoundTrip) -> Verdict {
    let BackendRoundTrip { backend, domain, outcome, detail, ping: _, at: _ } = trip;
    let (ca, dns) = (names::backend_ca(&view.federation.name), contact::dns_server(view));
    let pods = Pods::of(view, domain);
    let (reason, action) = match outcome {
        BackendOutcome::HostNotFound => (
            BackendReadyReason::HostNotFound,
            format!("Correct spec.backends[{backend}].server.host, or create the Service that it names."),
        ),
        BackendOutcome::ConnectRefused => (
            BackendReadyReason::ConnectRefused,
            format!("Nothing listens there. Start the server, or correct spec.backends[{backend}].server.port (usually {} for servers).", ports::S2S),
        ),
        BackendOutcome::ConnectTimedOut => (
            BackendReadyReason::ConnectTimedOut,
            "Check that the server runs, and that no NetworkPolicy blocks connections from the engine pods.".to_owned(),
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
            BackendReadyReason::ComponentDoesNotAnswer,
            "Check its log, and restart it if it hangs. It must answer every iq (RFC 6120 section 8.2.3), with an error if it does not know the request.".to_owned(),
        ),
        BackendOutcome::NoAnswer => (
            BackendReadyReason::BackendDoesNotReachEngine,
            contact::advice(view, trip),
        ),
        BackendOutcome::DoesNotAnswer => (
            BackendReadyReason::BackendDoesNotAnswer,
            "Check the server's log, and restart the server if it hangs.".to_owned(),
        ),
        BackendOutcome::ComponentNotConnected | BackendOutcome::ComponentRejected => {
            let action = connect_component(view, backend, &pods);
            (BackendReadyReason::ComponentNotConnected, action)
        }
        BackendOutcome::NotXmpp => (
            BackendReadyReason::NotXMPP,
            format!("Probably another program answers there, or the port expects TLS from the first byte. Set spec.backends[{backend}].server.host and port to those for server-to-server streams that begin without TLS (usually port {}).", ports::S2S),
        ),
        BackendOutcome::StreamFailed => (
            BackendReadyReason::StreamFailed,
            format!("Check the backend's log at that time, and that spec.backends[{backend}].server.port accepts server-to-server streams without TLS from the first byte (usually {}).", ports::S2S),
        ),
        BackendOutcome::AnswerAwaited => (BackendReadyReason::Probing, String::new()),
        BackendOutcome::RoundTripSeen => (BackendReadyReason::RoundTripSeen, String::new()),
        BackendOutcome::ComponentConflict => (BackendReadyReason::ComponentConflict, String::new()),
    };
    let at = pods.place();
    Verdict::new(
        reason,
        format!("Backend {backend} for {domain}{at}: {}. {action}", detail.trim_end_matches('.')),
    )
}

/// The engine pods with and without a component for a domain. A component is connected to one pod, and the other pods do
/// not reach it.
struct Pods<'a> {
    without: Vec<&'a str>,
    with: Vec<&'a str>,
}

impl<'a> Pods<'a> {
    fn of(view: View<'a>, domain: &Domain) -> Self {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for engine in &view.seen.engines {
            let Report::Seen(evidence) = &engine.report else { continue };
            let trip = evidence.backends.iter().find(|trip| trip.domain == *domain);
            match trip.map(|trip| trip.outcome) {
                Some(BackendOutcome::ComponentNotConnected | BackendOutcome::ComponentRejected) => {
                    without.push(engine.replica.name.as_str());
                }
                Some(BackendOutcome::RoundTripSeen | BackendOutcome::ComponentConflict) => {
                    with.push(engine.replica.name.as_str());
                }
                _ => {}
            }
        }
        without.sort_unstable();
        with.sort_unstable();
        Self { without, with }
    }

    /// Which pods have no component although others have one, as part of a sentence.
    fn place(&self) -> String {
        match self.without.as_slice() {
            [] => String::new(),
            _ if self.with.is_empty() => String::new(),
            [pod] => format!(" at engine pod {pod}"),
            pods => format!(" at engine pods {}", pods.join(", ")),
        }
    }
}

/// The secret of a backend that is a component.
fn component<'a>(view: View<'a>, backend: &str) -> Option<&'a SecretKey> {
    let (_, secret) =
        components::references(&view.federation.spec).find(|(name, _)| *name == backend)?;
    Some(secret)
}

/// What to do about a component that is not connected.
fn connect_component(view: View<'_>, backend: &str, pods: &Pods<'_>) -> String {
    let Some(SecretKey { name, key }) = component(view, backend) else {
        return "Start the component.".to_owned();
    };
    let federation = view.federation;
    let service = names::backend_service(&federation.name);
    let replicas = federation.spec.replicas;
    let each = format!(
        "Each of the {replicas} engine pods needs a connection: run one instance of the component for each pod, or set spec.replicas to 1."
    );
    if !pods.with.is_empty() {
        return format!("Engine pods with a connection: {}. {each}", pods.with.join(", "));
    }
    let connect = format!(
        "Connect the component to {service}.{}.svc, port {}, with key {key} of Secret {name} as its secret.",
        federation.namespace,
        ports::COMPONENT
    );
    if replicas > 1 { format!("{connect} {each}") } else { connect }
}
