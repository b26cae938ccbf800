//! What the engine's replicas report. One task for each ready pod keeps a request open. New evidence is stored here and
//! triggers a reconcile of its federation, so that a reconcile never waits for an engine.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use federation_engine::dial::backoff::Backoff;
use federation_engine::observe::evidence::{EngineEvidence, InboundRefusal};
use http::HeaderValue;
use jiff::Timestamp;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::control::{Control, ControlError};
use super::pinned;
use crate::build::ports;
use crate::federation::watched::FederationRef;

/// Shortest interval between two answers of one engine: under load, its evidence changes with every stream.
const PACE: Duration = Duration::from_millis(500);
/// Pauses after a failure.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));

/// A ready pod of the engine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replica {
    /// UID of the pod.
    pub uid: String,
    /// Name of the pod.
    pub name: String,
    /// Address of the pod.
    pub ip: IpAddr,
}

/// The credentials for the control port of a federation's engines.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The only certificate that is accepted.
    pub certificate: CertificateDer<'static>,
    /// Bearer token.
    pub token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The last report of one replica.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// It has not answered yet.
    Waiting,
    /// Its evidence.
    Seen(Arc<EngineEvidence>),
    /// It cannot be queried; the text completes "Cannot query engine pod NAME: ...".
    Unreachable(String),
}

/// The report of one replica.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineReport {
    /// The replica.
    pub replica: Replica,
    /// Its report.
    pub report: Report,
}

/// The tasks of all federations.
#[derive(Debug)]
pub struct Engines {
    wake: mpsc::Sender<FederationRef>,
    pollers: Mutex<HashMap<FederationRef, Vec<Poller>>>,
}

#[derive(Debug)]
struct Poller {
    replica: Replica,
    credentials: Credentials,
    latest: watch::Receiver<Report>,
    task: AbortHandle,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engines {
    /// `wake` receives the federation whose engines have new evidence.
    pub fn new(wake: mpsc::Sender<FederationRef>) -> Self {
        Self { wake, pollers: Mutex::default() }
    }

    /// Polls exactly these replicas from now on, and returns the last report of each.
    pub fn observe(
        &self,
        federation: &FederationRef,
        replicas: Vec<Replica>,
        credentials: &Credentials,
    ) -> Vec<EngineReport> {
        let mut all = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = all.remove(federation).unwrap_or_default();
        kept.retain(|poller| {
            poller.credentials == *credentials
                && replicas.contains(&poller.replica)
                && !poller.task.is_finished()
        });
        for replica in replicas {
            if !kept.iter().any(|poller| poller.replica == replica) {
                kept.push(self.start(federation.clone(), replica, credentials));
            }
        }
        kept.sort_by(|a, b| a.replica.name.cmp(&b.replica.name));
        let reports = reports(&kept);
        all.insert(federation.clone(), kept);
        reports
    }

    /// The last report of each replica that is polled.
    pub fn last(&self, federation: &FederationRef) -> Vec<EngineReport> {
        let all = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(federation).map(|pollers| reports(pollers)).unwrap_or_default()
    }

    /// Stops polling the replicas of a federation.
    pub fn forget(&self, federation: &FederationRef) {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner).remove(federation);
    }

    fn start(
        &self,
        federation: FederationRef,
        replica: Replica,
        credentials: &Credentials,
    ) -> Poller {
        let (sender, latest) = watch::channel(Report::Waiting);
        let address = SocketAddr::new(replica.ip, ports::CONTROL);
        let (wake, owned) = (self.wake.clone(), credentials.clone());
        let task = tokio::spawn(async move {
            let tls = match pinned::client_config(owned.certificate) {
                Ok(config) => Arc::new(config),
                Err(error) => {
                    sender.send_replace(Report::Unreachable(error.to_string()));
                    return;
                }
            };
            let Ok(mut authorization) = HeaderValue::try_from(format!("Bearer {}", owned.token))
            else {
                let text = "the token in its control Secret is not printable; delete the Secret";
                sender.send_replace(Report::Unreachable(text.to_owned()));
                return;
            };
            authorization.set_sensitive(true);
            follow(address, tls, authorization, sender, wake, federation).await;
        });
        Poller { replica, credentials: credentials.clone(), latest, task: task.abort_handle() }
    }
}

fn reports(pollers: &[Poller]) -> Vec<EngineReport> {
    let report = |poller: &Poller| EngineReport {
        replica: poller.replica.clone(),
        report: poller.latest.borrow().clone(),
    };
    pollers.iter().map(report).collect()
}

/// Keeps `latest` current until it has no receiver any more.
async fn follow(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    authorization: HeaderValue,
    latest: watch::Sender<Report>,
    wake: mpsc::Sender<FederationRef>,
    federation: FederationRef,
) {
    let mut retry = RETRY;
    while !latest.is_closed() {
        let error = session(address, &tls, &authorization, &latest, &wake, &federation, || {
            retry.reset();
        })
        .await;
        tracing::debug!(%address, %error, "cannot query an engine");
        publish(&latest, Report::Unreachable(error.to_string()), &wake, &federation).await;
        tokio::time::sleep(retry.bound_after_failure()).await;
    }
}

/// One connection, until it fails.
async fn session(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    authorization: &HeaderValue,
    latest: &watch::Sender<Report>,
    wake: &mpsc::Sender<FederationRef>,
    federation: &FederationRef,
    mut answered: impl FnMut(),
) -> ControlError {
    // The first request of a new connection has no ETag: `Unreachable` may have replaced the last report in the meantime.
    let mut control = match Control::open(address, Arc::clone(tls), authorization.clone()).await {
        Ok(control) => control,
        Err(error) => return error,
    };
    loop {
        match control.next().await {
            Ok(Some(evidence)) => {
                answered();
                publish(latest, Report::Seen(Arc::new(evidence)), wake, federation).await;
                tokio::time::sleep(PACE).await;
            }
            Ok(None) => answered(),
            Err(error) => return error,
        }
    }
}

async fn publish(
    latest: &watch::Sender<Report>,
    report: Report,
    wake: &mpsc::Sender<FederationRef>,
    federation: &FederationRef,
) {
    // The latest report is always stored for the next reconcile; only a change that could affect a verdict triggers one.
    let mut news = false;
    latest.send_modify(|current| {
        news = !tells_the_same(current, &report);
        *current = report;
    });
    if news && wake.send(federation.clone()).await.is_err() {
        tracing::debug!("no receiver for engine reports is left");
    }
}

/// Whether two reports differ only in times and past attempts, which change with every stream.
fn tells_the_same(one: &Report, other: &Report) -> bool {
    match (one, other) {
        (Report::Seen(one), Report::Seen(other)) => timeless(one) == timeless(other),
        (one, other) => one == other,
    }
}

fn timeless(evidence: &EngineEvidence) -> EngineEvidence {
    let mut evidence = evidence.clone();
    for observation in &mut evidence.inbound {
        observation.at = Timestamp::UNIX_EPOCH;
    }
    for trip in &mut evidence.backends {
        trip.at = Timestamp::UNIX_EPOCH;
        trip.ping.clear();
    }
    // The first answer of a domain is a change, later answers are not.
    evidence.answers.sort_by(|a, b| a.domain.cmp(&b.domain));
    evidence.answers.dedup_by(|a, b| a.domain == b.domain);
    for answer in &mut evidence.answers {
        answer.ping.clear();
    }
    for claim in &mut evidence.claims {
        claim.at = Timestamp::UNIX_EPOCH;
    }
    for flow in &mut evidence.flows {
        flow.at = Timestamp::UNIX_EPOCH;
        flow.ping.clear();
    }
    // Unauthenticated peers cause these, and no verdict depends on them.
    evidence.refusals.clear();
    for peer in &mut evidence.peers {
        peer.attempts.clear();
        peer.refusals = match peer.refusals.pop() {
            Some(InboundRefusal { reason, message, .. }) if peer.configured => {
                let (source, at) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), Timestamp::UNIX_EPOCH);
                let (peer, local) = (None, None);
                vec![InboundRefusal { peer, local, source, reason, message, count: 1, at }]
            }
            _ => Vec::new(),
        };
        let others = peer.others.iter_mut().map(|other| &mut other.stream);
        for stream in [&mut peer.outbound, &mut peer.inbound].into_iter().flatten().chain(others) {
            stream.since = Timestamp::UNIX_EPOCH;
        }
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{engine, now, refusal, smallest, validated};

    #[test]
    fn a_later_stream_of_the_same_kind_is_no_news_and_a_lost_backend_is() {
        let federation = validated(&smallest());
        let seen = |change: fn(&mut EngineEvidence)| {
            let mut evidence = engine(&federation);
            change(&mut evidence);
            Report::Seen(Arc::new(evidence))
        };
        let before = seen(|_| {});
        assert!(tells_the_same(&before, &seen(|report| report.inbound[0].at = now())));
        assert!(!tells_the_same(&before, &seen(|report| report.backends.clear())));
        assert!(tells_the_same(&before, &seen(|report| report.refusals.push(refusal("a", 1)))));
        assert!(!tells_the_same(&before, &Report::Unreachable("refused".to_owned())));
    }

    #[test]
    fn what_strangers_cause_is_news_only_about_a_configured_peer_and_only_once() {
        let mut spec = smallest();
        spec["peers"] = serde_json::json!([{"domain": "partner.example"}]);
        let federation = validated(&spec);
        let seen = |configured: bool, refusals: &[(&str, i64)]| {
            let mut evidence = engine(&federation);
            evidence.peers[0].configured = configured;
            let refusals = refusals.iter().map(|(message, ago)| refusal(message, *ago));
            evidence.peers[0].refusals = refusals.collect();
            Report::Seen(Arc::new(evidence))
        };
        let first = seen(true, &[("a", 9)]);
        assert!(!tells_the_same(&seen(true, &[]), &first));
        assert!(tells_the_same(&first, &seen(true, &[("b", 9), ("a", 1)])));
        assert!(!tells_the_same(&first, &seen(true, &[("a", 9), ("b", 1)])));
        assert!(tells_the_same(&seen(false, &[]), &seen(false, &[("a", 9)])));
    }
}
