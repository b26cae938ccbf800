//! Asks the server behind a local domain for its name and version, over the same path as the pings: once on each
//! connection to it, and once an hour on a long one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::pair::Pair;
use s2s_proto::stanza::software::{self, Software};
use s2s_proto::xml::Element;
use tokio::time::timeout_at;

use crate::engine::Engine;
use crate::observe::evidence::BackendServer;
use crate::route::link::Link;

/// Timeout for both answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of the questions on one connection.
const INTERVAL: Duration = Duration::from_hours(1);

/// When the server was asked last on the current connection.
#[derive(Debug, Default)]
pub(super) struct Asked(Option<Instant>);

impl Asked {
    /// Whether it must be asked now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.0.is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL)
    }

    /// There is another connection, or none.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

/// Asks the server of `pair.to`, and records what it reports.
pub(super) async fn ask(
    engine: &Arc<Engine>,
    pair: &Pair,
    link: &Arc<Link>,
    backend: &str,
    asked: &mut Asked,
) {
    let questions = &engine.relay.questions;
    let (version, identity) = (questions.ask(&pair.to), questions.ask(&pair.to));
    let (from, to) = (pair.from.as_str(), pair.to.as_str());
    for request in [
        software::version_request(from, to, &version.id),
        software::identity_request(from, to, &identity.id),
    ] {
        engine.recorder.metrics.stanzas_generated.inc();
        engine.relay.queue(link, request, Instant::now()).await;
    }
    let deadline = clock::after(Instant::now(), ANSWER_TIMEOUT).into();
    let (version, identity) = tokio::join!(
        timeout_at(deadline, version.answer()),
        timeout_at(deadline, identity.answer())
    );
    *asked = Asked(Some(Instant::now()));
    let read = |answer: Option<Element>, what: fn(&Element) -> Option<Software>| what(&answer?);
    let found = read(version.ok().flatten(), software::version)
        .or_else(|| read(identity.ok().flatten(), software::identity));
    tracing::debug!(domain = %pair.to, backend, ?found, "software of the backend");
    let server = found.map(|Software { name, version }| BackendServer {
        backend: backend.to_owned(),
        domain: pair.to.clone(),
        name,
        version,
    });
    engine.recorder.journal.backend_server(&pair.to, server.as_ref(), Timestamp::now());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_once_on_each_connection_and_once_an_hour() {
        let now = Instant::now();
        let mut asked = Asked::default();
        assert!(asked.is_due(now));
        asked = Asked(Some(now));
        assert!(!asked.is_due(now + INTERVAL / 2) && asked.is_due(now + INTERVAL));
        asked.forget();
        assert!(asked.is_due(now));
    }
}
