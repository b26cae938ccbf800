//! Verifies a dialback key at the authoritative server (XEP-0220 §2.3), on a separate connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crds::xmpp::StanzaCondition;
use s2s_proto::dialback::KeyVerdict;
use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;
use s2s_proto::public::is_public;
use s2s_proto::stream::{Purpose, StreamId};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::Domain;
use crate::admission::line::Permit;
use crate::engine::Engine;
use crate::leg::Leg;
use crate::session::negotiate::{self, NotOpened, Opening};

/// Whether the authoritative server of a pair may be queried at all. The query costs lookups and connections
/// (XEP-0205), and the server that caused it has not authenticated.
///
/// # Errors
/// The answer to the source if not (XEP-0220 §2.5).
pub(crate) fn check_name(engine: &Engine, leg: Leg, pair: &Pair) -> Result<(), KeyVerdict> {
    let snapshot = engine.snapshot();
    // If the configuration has an entry or a route for it, the name is known here.
    let peer = snapshot.config.peers.resolve(&pair.from);
    let known = leg == Leg::Inner || peer.entry.is_some() || peer.route.is_some();
    if !known && !is_public(&pair.from) {
        let text = "this name is not in the public DNS";
        let cause = format!(
            "{}: {text}, and no entry of `peers` covers it. Add one if it is a peer",
            pair.from
        );
        return Err(KeyVerdict::error_of(StanzaCondition::RemoteServerNotFound, text, cause));
    }
    Ok(())
}

/// Waits for the turn of a verification that this source causes, after others of the same source. The permit is held
/// while the verification runs. `authenticated`: the stream that requested it; a stream that is not costs a lookup of
/// its source, on both legs.
///
/// # Errors
/// The answer to the source if too many are waiting.
pub(crate) async fn turn(
    engine: &Engine,
    leg: Leg,
    source: IpAddr,
    domain: &Domain,
    authenticated: bool,
) -> Result<Permit, KeyVerdict> {
    let too_many = || {
        KeyVerdict::error(
            StanzaCondition::ResourceConstraint,
            "too many verifications for this source",
        )
    };
    let at_once = engine.snapshot().config.limits.verifications_per_source;
    let ticket = engine.verifications.join(source, domain, at_once).ok_or_else(too_many)?;
    let permit = ticket.turn().await.ok_or_else(too_many)?;
    let at = engine.may_look_up(leg, source, authenticated).ok_or_else(too_many)?;
    sleep_until(at.into()).await;
    Ok(permit)
}

/// The authoritative server's answer, or the dialback error that states why there is none (XEP-0220 §2.5). `source`
/// caused the verification.
pub(crate) async fn ask(
    engine: &Arc<Engine>,
    leg: Leg,
    source: IpAddr,
    pair: Pair,
    id: StreamId,
    key: String,
) -> KeyVerdict {
    let purpose = Purpose::Verify { pair: pair.clone(), id, key };
    match negotiate::open(engine, leg, purpose, None).await {
        Ok(Opening::Verified(mut opened, answer)) => {
            // XEP-0220 §2.1.2: a connection that was opened for verification is closed at once.
            opened.connection.close(negotiate::CLOSE_TIMEOUT).await;
            answer
        }
        Ok(Opening::Own(_) | Opening::Shared(_)) => KeyVerdict::error(
            StanzaCondition::InternalServerError,
            "the authoritative server did not answer",
        ),
        Err(NotOpened { failure, address, .. }) => {
            // Limits the lines of the server that was queried: the server that caused the verification chose the name.
            // If DNS or DNSSEC led to no server, limits those of the source.
            let server = address.map_or(source, |address: SocketAddr| address.ip());
            if let Some(omitted) = engine.recorder.may_log(server) {
                let peer = leg.peer(&pair, Direction::Inbound);
                tracing::info!(%peer, %pair, ?leg, address = address.map(tracing::field::display), reason = failure.word().as_str(), omitted, "dialback verification failed: {failure}");
            }
            KeyVerdict::from(&failure)
        }
    }
}

/// Waits for the answer to a verification, for at most `time` and not beyond the stream that needs it. `ended` notifies
/// of the end of the stream: then nobody waits, and there is no answer. The verification ends with it and releases what
/// it holds, so that silent servers cannot use up the verifications of a source.
pub(crate) async fn bounded(
    question: impl Future<Output = KeyVerdict>,
    time: Duration,
    ended: CancellationToken,
) -> Option<KeyVerdict> {
    tokio::select! {
        biased;
        () = ended.cancelled() => None,
        answer = timeout(time, question) => Some(answer.unwrap_or_else(|_| {
            let text = "the authoritative server did not answer in time";
            KeyVerdict::error(StanzaCondition::RemoteServerTimeout, text)
        })),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::IpAddr;

    use tokio::time::Instant;

    use super::*;
    use crate::admission::line::Line;

    const TIME: Duration = Duration::from_secs(30);
    const LIMIT: usize = 32;

    /// More verifications than a source may have in progress, at servers that never answer.
    fn silent(
        line: &Line,
        ended: &CancellationToken,
    ) -> Vec<tokio::task::JoinHandle<Option<KeyVerdict>>> {
        let source: IpAddr = "198.18.0.1".parse().unwrap();
        let domain = Domain::parse("peer.example").unwrap();
        let ask = |_| {
            let ticket = line.join(source, &domain, LIMIT).unwrap();
            let question = async {
                let _permit = ticket.turn().await;
                pending().await
            };
            tokio::spawn(bounded(question, TIME, ended.clone()))
        };
        (0..LIMIT * 2).map(ask).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn questions_end_with_their_time_and_the_source_may_ask_again() {
        let (line, start) = (Line::default(), Instant::now());
        for task in silent(&line, &CancellationToken::new()) {
            let answer = task.await.unwrap();
            assert!(matches!(
                answer,
                Some(KeyVerdict::Error { condition: StanzaCondition::RemoteServerTimeout, .. })
            ));
        }
        assert_eq!(start.elapsed().as_secs(), TIME.as_secs());
        assert!(line.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn questions_end_with_the_stream_that_needs_the_answer() {
        let (line, ended) = (Line::default(), CancellationToken::new());
        let start = Instant::now();
        let tasks = silent(&line, &ended);
        ended.cancel();
        for task in tasks {
            assert_eq!(task.await.unwrap(), None);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(line.is_empty());
    }
}
