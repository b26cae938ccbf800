//! Pings each local domain at its backend from the engine's own probe domain. The answer has to come back through the
//! backend's DNS and its own stream to the engine, so one round trip proves both directions, their authentication and
//! the DNS set-up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout_at};

use super::engine::Engine;
use crate::Domain;
use crate::leg::Leg;
use crate::observe::evidence::{BackendOutcome, BackendRoundTrip};
use crate::pair::Pair;
use crate::reason::{ConnectReason, Failure};
use crate::route::link::{Link, Phase};
use crate::stanza::bounce::ping;
use crate::stream::StreamId;
use crate::xml::Element;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two round trips when the last one was good, and when it was not.
const CALM: Duration = Duration::from_mins(1);
const EAGER: Duration = Duration::from_secs(2);

/// Round trips under way, by the `id` of their ping.
#[derive(Default)]
pub(crate) struct RoundTrips(Mutex<HashMap<String, oneshot::Sender<()>>>);

impl RoundTrips {
    /// A stanza came to the probe domain over a backend's own stream. An error is as good as a result: it has come the
    /// whole way.
    pub(crate) fn answered(&self, element: &Element) {
        let waiting = element.id().and_then(|id| self.pending().remove(id.as_ref()));
        if let Some(waiting) = waiting {
            // Whoever waited may have given up.
            let _ = waiting.send(());
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the evidence of one domain's backend fresh until the configuration changes.
pub(crate) async fn keep_fresh(engine: Arc<Engine>, domain: Domain, backend: String) {
    let revision = engine.revision();
    let mut revisions = engine.revisions();
    while engine.revision() == revision {
        let (outcome, detail) = once(&engine, &domain).await;
        tracing::debug!(%domain, backend, ?outcome, "round trip: {detail}");
        engine.saw_backend(BackendRoundTrip {
            backend: backend.clone(),
            domain: domain.clone(),
            outcome,
            detail,
            at: Timestamp::now(),
        });
        let pause = if outcome == BackendOutcome::RoundTripSeen { CALM } else { EAGER };
        tokio::select! {
            () = sleep(pause) => {}
            _ = revisions.changed() => {}
            () = engine.shutdown.cancelled() => return,
        }
    }
}

async fn once(engine: &Arc<Engine>, domain: &Domain) -> (BackendOutcome, String) {
    let pair = Pair { from: engine.snapshot().config.probe_domain.clone(), to: domain.clone() };
    let link = engine.table.link(&pair, Leg::Inner);
    let id = StreamId::generate().to_string();
    let (sender, mut answer) = oneshot::channel();
    engine.round_trips.pending().insert(id.clone(), sender);
    // An earlier failure's pause is not ours: this is the look that finds out whether it is over.
    let _ = link.wake().then(|| engine.start(&link));
    engine.metrics.stanzas_generated.inc();
    engine.queue(&link, ping(pair.from.as_str(), pair.to.as_str(), &id), Instant::now()).await;
    let deadline = Instant::now() + PATIENCE;
    let outcome = loop {
        let settled = link.settled();
        if let Some(failure) = link.last_failure() {
            break (outcome_of(&failure), failure.to_string());
        }
        tokio::select! {
            answered = timeout_at(deadline.into(), &mut answer) => break match answered {
                Ok(_) => (
                    BackendOutcome::RoundTripSeen,
                    format!("{domain} answered a ping over its own stream to {}", pair.from),
                ),
                Err(_) => silence(&link, &pair),
            },
            () = settled => {}
        }
    };
    engine.round_trips.pending().remove(&id);
    outcome
}

/// No answer came in time.
fn silence(link: &Link, pair: &Pair) -> (BackendOutcome, String) {
    if link.phase() == Phase::Established {
        let detail = format!(
            "the backend took the ping for {}, and no answer came back: its own stream to {} has not reached the engine",
            pair.to, pair.from
        );
        (BackendOutcome::BackendDoesNotReachEngine, detail)
    } else {
        (BackendOutcome::ConnectTimedOut, "no stream to the backend came about in time".to_owned())
    }
}

fn outcome_of(failure: &Failure) -> BackendOutcome {
    match failure {
        Failure::Dns(_) => BackendOutcome::HostNotFound,
        Failure::Connect(attempts) => match attempts.last() {
            Some((_, ConnectReason::Refused)) => BackendOutcome::ConnectRefused,
            _ => BackendOutcome::ConnectTimedOut,
        },
        Failure::Certificate(_) => BackendOutcome::BackendCertificateUntrusted,
        Failure::DialbackInvalid | Failure::DialbackError { .. } | Failure::DialbackTimedOut => {
            BackendOutcome::BackendDialbackFailed
        }
        Failure::StreamError { condition, .. } if condition == "host-unknown" => {
            BackendOutcome::DomainNotHosted
        }
        // A server that does not accept our certificate does not offer EXTERNAL (XEP-0178), refuses it, or ends the
        // stream or the handshake.
        Failure::NoAuthenticationMethod(_) | Failure::ExternalRejected { .. } => {
            BackendOutcome::BackendRejectsMintedCertificate
        }
        Failure::StreamError { condition, .. } if condition == "not-authorized" => {
            BackendOutcome::BackendRejectsMintedCertificate
        }
        Failure::NoBackend => BackendOutcome::ComponentNotConnected,
        _ => BackendOutcome::StreamFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_names_the_broken_part_of_the_way() {
        let address = "198.18.0.9:5269".parse().unwrap();
        let error = |condition: &str| Failure::StreamError {
            condition: condition.into(),
            text: String::new(),
        };
        for (failure, outcome) in [
            (
                Failure::Connect(vec![(address, ConnectReason::Refused)]),
                BackendOutcome::ConnectRefused,
            ),
            (
                Failure::Connect(vec![(address, ConnectReason::TimedOut)]),
                BackendOutcome::ConnectTimedOut,
            ),
            (error("host-unknown"), BackendOutcome::DomainNotHosted),
            (error("not-authorized"), BackendOutcome::BackendRejectsMintedCertificate),
            (error("internal-server-error"), BackendOutcome::StreamFailed),
            (Failure::DialbackInvalid, BackendOutcome::BackendDialbackFailed),
        ] {
            assert_eq!(outcome_of(&failure), outcome, "{failure}");
        }
    }
}
