//! Pings each local domain at its backend from the engine's own probe domain. The answer must come back through the
//! backend's DNS and its own stream to the engine. One round trip therefore verifies both directions, their
//! authentication and the DNS configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::xmpp::StreamCondition;
use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::pair::Pair;
use s2s_proto::reason::{ConnectReason, Failure};
use s2s_proto::stanza::bounce::ping;
use s2s_proto::stream::StreamId;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout_at};

use crate::Domain;
use crate::engine::Engine;
use crate::leg::Leg;
use crate::observe::evidence::{BackendOutcome, BackendRoundTrip};
use crate::probes::software::{self, Asked};
use crate::relay::round_trips::Reply;
use crate::route::components::{Conflict, Refused};
use crate::route::link::{Link, Phase};

/// Timeout for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of the round trips when the last one succeeded, and when it did not. A ping costs one stanza on an open stream. It
/// shows within this time and [`ANSWER_TIMEOUT`] that a backend hangs: its streams stay open, so nothing else shows it.
const ANSWERED_INTERVAL: Duration = Duration::from_secs(10);
const UNANSWERED_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the evidence of one domain's backend fresh until the configuration changes.
pub(crate) async fn keep_fresh(engine: Arc<Engine>, domain: Domain, backend: String) {
    let revision = engine.in_force.revision();
    let mut revisions = engine.in_force.revisions();
    let mut conflicts = engine.components.conflicts();
    let mut last = None;
    let mut asked = Asked::default();
    let mut pause = UNANSWERED_INTERVAL;
    // It has answered over the streams that are open now.
    let mut answers = false;
    while engine.in_force.revision() == revision {
        conflicts.mark_unchanged();
        let trip = Trip::new(&engine, &domain, &backend);
        // A ping whose answer goes to another replica ends here like an unanswered one. In this state, only the end of
        // a ping is reported, so that the condition in the operator does not alternate.
        let tell = !matches!(
            last,
            Some(
                BackendOutcome::RoundTripSeen
                    | BackendOutcome::ComponentConflict
                    | BackendOutcome::NoAnswer
                    | BackendOutcome::DoesNotAnswer
            )
        );
        let (outcome, detail) = match trip.run(tell).await {
            (BackendOutcome::NoAnswer, detail) if answers => trip.hangs(detail),
            other => other,
        };
        tracing::debug!(%domain, backend, ?outcome, "round trip: {detail}");
        engine.recorder.saw_backend(trip.evidence(outcome, detail));
        pause = match outcome {
            BackendOutcome::RoundTripSeen | BackendOutcome::ComponentConflict => ANSWERED_INTERVAL,
            // The other replicas may receive the answers; then this state continues forever. `Backoff` is not used,
            // because it would restart after the answers that this replica receives.
            BackendOutcome::NoAnswer | BackendOutcome::DoesNotAnswer => {
                (pause * 2).min(ANSWERED_INTERVAL)
            }
            _ => UNANSWERED_INTERVAL,
        };
        last = Some(outcome);
        answers |= outcome == BackendOutcome::RoundTripSeen;
        if outcome != BackendOutcome::RoundTripSeen {
            asked.forget();
        }
        let is_lost = tokio::select! {
            () = sleep(pause) => false,
            // The backend is down or is restarting.
            () = trip.link.lost() => true,
            _ = revisions.changed() => false,
            // Only the first one is news: the other component may retry as often as it likes.
            () = conflict(&engine, &domain, &mut conflicts),
                if outcome == BackendOutcome::RoundTripSeen => false,
            () = engine.life.draining.cancelled() => return,
            () = trip.ask_if_due(outcome, &mut asked) => false,
        };
        if is_lost {
            asked.forget();
            answers = false;
        }
    }
}

/// Returns when two components want this domain.
async fn conflict(engine: &Engine, domain: &Domain, conflicts: &mut watch::Receiver<()>) {
    while conflicts.changed().await.is_ok() {
        if engine.components.conflict(domain, Instant::now()).is_some() {
            return;
        }
    }
}

/// One ping and its result.
struct Trip<'a> {
    engine: &'a Arc<Engine>,
    backend: &'a str,
    pair: Pair,
    id: String,
    link: Arc<Link>,
}

impl<'a> Trip<'a> {
    fn new(engine: &'a Arc<Engine>, domain: &Domain, backend: &'a str) -> Self {
        let pair = Pair { from: engine.snapshot().config.probe_domain.clone(), to: domain.clone() };
        let link = engine.relay.table.link(&pair, Leg::Inner);
        Self { engine, backend, pair, id: StreamId::new(rand::random()).to_string(), link }
    }

    /// Pings, and waits for the answer, a failure or the timeout. With `tell`, reports as soon as the backend has
    /// received the ping.
    async fn run(&self, tell: bool) -> (BackendOutcome, String) {
        let begun = Instant::now();
        let answer = self.engine.relay.round_trips.begin(&self.id);
        // The pause after an earlier failure does not apply: this check determines whether the failure persists.
        if self.link.wake() {
            self.engine.relay.start(&self.link);
        }
        let stanza = ping(self.pair.from.as_str(), self.pair.to.as_str(), &self.id);
        self.engine.recorder.metrics.stanzas_generated.inc();
        self.engine.relay.queue(&self.link, stanza, Instant::now()).await;
        let outcome = self.wait(answer, tell).await;
        self.engine.relay.round_trips.end(&self.id);
        if outcome.0 == BackendOutcome::RoundTripSeen {
            self.engine.recorder.metrics.backend_answered(begun.elapsed());
        }
        outcome
    }

    async fn wait(
        &self,
        mut answer: oneshot::Receiver<Reply>,
        mut tell: bool,
    ) -> (BackendOutcome, String) {
        let deadline = clock::after(Instant::now(), ANSWER_TIMEOUT);
        loop {
            let settled = self.link.settled();
            if let Some(failure) = self.link.last_failure() {
                return self.failed(&failure);
            }
            if tell && self.link.phase() == Phase::Established {
                tell = false;
                let awaited = self.evidence(BackendOutcome::AnswerAwaited, String::new());
                self.engine.recorder.saw_backend(awaited);
            }
            tokio::select! {
                biased;
                answered = timeout_at(deadline.into(), &mut answer) => return match answered {
                    Ok(_) => self.came_back(),
                    Err(_) => self.silence(),
                },
                () = settled => {}
            }
        }
    }

    /// After a round trip through a server: asks it for its name and version when that is due. Never returns.
    async fn ask_if_due(&self, outcome: BackendOutcome, asked: &mut Asked) {
        let is_server = self.engine.snapshot().component_of(&self.pair.to).is_none();
        let answers = outcome == BackendOutcome::RoundTripSeen && is_server;
        if answers && asked.is_due(Instant::now()) {
            software::ask(self.engine, &self.pair, &self.link, self.backend, asked).await;
        }
        std::future::pending::<()>().await;
    }

    fn failed(&self, failure: &Failure) -> (BackendOutcome, String) {
        let refused = self.engine.components.refusals(&self.pair.to);
        match refused.filter(|_| *failure == Failure::ComponentNotConnected) {
            Some(Refused { count, address, cause }) => {
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                let detail = format!(
                    "{failure}; attempts refused: {count}, the last from {address}: {cause}"
                );
                (BackendOutcome::ComponentRejected, detail)
            }
            None => (outcome_of(failure), failure.to_string()),
        }
    }

    fn came_back(&self) -> (BackendOutcome, String) {
        let Pair { from, to } = &self.pair;
        if let Some(conflict) = self.conflict() {
            return conflict;
        }
        let detail = format!("{to} answered a ping over its own stream to {from}");
        (BackendOutcome::RoundTripSeen, detail)
    }

    /// A component answers, and another one wants the domain as well.
    fn conflict(&self) -> Option<(BackendOutcome, String)> {
        let domain = &self.pair.to;
        let Conflict { holder, refused } =
            self.engine.components.conflict(domain, Instant::now())?;
        // Without the ports, which change with each attempt.
        let detail = format!(
            "the component at {} is connected for {domain}; another one at {} presented the same secret and was refused with conflict",
            holder.ip().to_canonical(),
            refused.ip().to_canonical()
        );
        Some((BackendOutcome::ComponentConflict, detail))
    }

    /// No answer arrived before the timeout.
    fn silence(&self) -> (BackendOutcome, String) {
        let Pair { from, to } = &self.pair;
        if self.link.phase() != Phase::Established {
            let detail = "opening a stream to the backend timed out".to_owned();
            return (BackendOutcome::ConnectTimedOut, detail);
        }
        let snapshot = self.engine.snapshot();
        let of_backend = |domain: &Domain| {
            snapshot.component_of(domain).is_some_and(|backend| backend.name == self.backend)
        };
        if !of_backend(to) {
            let detail = format!(
                "the backend accepted the ping for {to}, but no answer came back over its own stream to {from}"
            );
            return (BackendOutcome::NoAnswer, detail);
        }
        let heard = self.engine.components.heard(to, of_backend);
        if self.link.is_empty() && heard.stanza && !heard.answer {
            if let Some(conflict) = self.conflict() {
                return conflict;
            }
            // Some libraries answer no request that they do not know. The stream itself shows both directions: the
            // component is authenticated on it, has sent stanzas over it, and accepted the ping. One that has answered
            // pings before, or has sent nothing at all, may hang.
            let detail = format!(
                "a component is connected for {to} and accepted the ping; it does not answer pings"
            );
            return (BackendOutcome::RoundTripSeen, detail);
        }
        let detail = format!(
            "a component is connected for {to}, but did not answer a ping within {ANSWER_TIMEOUT:?}"
        );
        (BackendOutcome::NoAnswer, detail)
    }

    /// No answer arrived, although the backend has answered on the same streams before.
    fn hangs(&self, detail: String) -> (BackendOutcome, String) {
        let to = &self.pair.to;
        // The detail of a component already says so.
        if self.engine.snapshot().component_of(to).is_some() {
            return (BackendOutcome::NoAnswer, detail);
        }
        let detail = format!(
            "the backend answered earlier pings for {to} and accepted the last one, but did not answer it within {ANSWER_TIMEOUT:?}"
        );
        (BackendOutcome::DoesNotAnswer, detail)
    }

    fn evidence(&self, outcome: BackendOutcome, detail: String) -> BackendRoundTrip {
        BackendRoundTrip {
            backend: self.backend.to_owned(),
            domain: self.pair.to.clone(),
            outcome,
            detail,
            ping: self.id.clone(),
            at: Timestamp::now(),
        }
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
        Failure::DialbackInvalid(_) | Failure::DialbackError { .. } | Failure::DialbackTimedOut => {
            BackendOutcome::BackendDialbackFailed
        }
        Failure::StreamError { condition: StreamCondition::HostUnknown, .. } => {
            BackendOutcome::DomainNotHosted
        }
        // A server that does not accept our certificate does not offer EXTERNAL (XEP-0178), refuses it, or closes the
        // stream or the handshake.
        Failure::NoAuthenticationMethod(_)
        | Failure::ExternalRejected { .. }
        | Failure::StreamError { condition: StreamCondition::NotAuthorized, .. } => {
            BackendOutcome::BackendRejectsMintedCertificate
        }
        Failure::ComponentNotConnected | Failure::NoBackend => {
            BackendOutcome::ComponentNotConnected
        }
        Failure::NotXmpp(_) => BackendOutcome::NotXmpp,
        _ => BackendOutcome::StreamFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s2s_proto::dialback::KeyInquiry;

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
            (Failure::DialbackInvalid(KeyInquiry::NotSeen), BackendOutcome::BackendDialbackFailed),
            (Failure::ComponentNotConnected, BackendOutcome::ComponentNotConnected),
            (Failure::NotXmpp("HTTP".to_owned()), BackendOutcome::NotXmpp),
            (Failure::ConnectionLost("waiting"), BackendOutcome::StreamFailed),
        ] {
            assert_eq!(outcome_of(&failure), outcome, "{failure}");
        }
    }
}
