//! The actions that the machine of a stream requests from its driver.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::peer::Verification;
use crds::word::Word;
use crds::xmpp::StreamCondition;
use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::dialback::KeyVerdict;
use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;
use s2s_proto::plan::TlsStart;
use s2s_proto::reason::Failure;
use s2s_proto::stream::error::StreamError;
use s2s_proto::stream::{Action, Authentication, Rejection, StreamId};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{timeout, timeout_at};

use super::{Flow, Session, evicted};
use crate::Domain;
use crate::admission::authenticated::Full;
use crate::admission::holders::Owner;
use crate::engine::life::Stage;
use crate::engine::surroundings;
use crate::in_force;
use crate::leg::Leg;
use crate::observe::evidence::InboundKind;
use crate::observe::label::VerificationResult;
use crate::route::streams::Event;
use crate::session::attempt::Outcome;
use crate::session::machine::Machine;
use crate::session::negotiate::CLOSE_TIMEOUT;
use crate::session::stream_end::StreamEnd;
use crate::session::{expiry, verify};

/// Maximum time to send the last bytes on shutdown.
const SHUTDOWN_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum time to notify the peer of a stream that must make room.
const SHED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl Session {
    pub(super) async fn on_event(&mut self, event: Event) -> Flow {
        match event {
            Event::Carry(request) => self.on_request(request).await,
            Event::Shed => self.shed().await,
            Event::CloseIfIdle => self.close_if_idle().await,
            Event::Moved(domain) => {
                self.on_moved(&domain);
                Flow::Continue
            }
            Event::Contested => {
                self.on_contest();
                Flow::Continue
            }
            Event::Verdict(verdict) => {
                let (pair, id, result) = *verdict;
                if let Machine::Receiving(machine) = &mut self.machine {
                    machine.on_verification(&pair, &id, result, &mut self.out);
                }
                self.perform().await
            }
        }
    }

    /// RFC 6120 §4.9.3.17. Unconfirmed stanzas go back to their queue.
    async fn shed(&mut self) -> Flow {
        self.closing = true;
        self.shed = true;
        let text = "the server is low on memory or connections; try again later";
        let error = StreamError::new(StreamCondition::ResourceConstraint, text);
        self.machine.fail(&error, &*self.around, &mut self.out);
        self.perform().await;
        Flow::Stop
    }

    /// The place is needed. A connection that has not opened a stream is closed: there is no stream on which to send an
    /// error.
    pub(super) async fn on_evicted(&mut self) -> Flow {
        let named = self.machine.named();
        if named.is_none_or(|named| named.from.is_some() || named.to.is_some()) {
            return self.shed().await;
        }
        self.engine.recorder.saw_eviction(self.leg, self.address);
        Flow::Stop
    }

    /// Takes the output of the machine and performs its actions, until it requests no more.
    pub(super) async fn perform(&mut self) -> Flow {
        while !self.out.bytes.is_empty() || !self.out.actions.is_empty() {
            self.connection.output.unsplit(std::mem::take(&mut self.out.bytes));
            for action in std::mem::take(&mut self.out.actions) {
                // On the heap for a moment: rare actions must not make the task of every stream large.
                if Box::pin(self.act(action)).await == Flow::Stop {
                    return Flow::Stop;
                }
            }
        }
        Flow::Continue
    }

    async fn act(&mut self, action: Action) -> Flow {
        match action {
            Action::StartTls { certificate_for } => {
                if let Err(error) = self.start_tls(&certificate_for).await {
                    let named = self.machine.named().cloned().unwrap_or_default();
                    self.engine.recorder.saw_failed_handshake(
                        self.leg,
                        self.address,
                        named,
                        &error,
                    );
                    // RFC 6120 §5.4.3.2: TCP is closed, without </stream:stream>.
                    return Flow::Stop;
                }
            }
            Action::ConnectTls { server_name, certificate_for } => {
                self.connect_tls(&server_name, &certificate_for).await;
            }
            Action::Restart => self.scanner.restart(),
            Action::Bounds(bounds) => {
                self.scanner.set_bounds(bounds.with_element_bytes(self.stanza_bytes()));
            }
            Action::Verify { pair, id, key } => self.verify(pair, id, key),
            Action::Authorized { pair, how } => return self.authorized(&pair, how).await,
            Action::Claim(domain) => self.claim(&domain),
            Action::Bidirectional { pair } => self.bidirectional(&pair),
            Action::Acknowledged(count) => self.outlet.acknowledged(count, &self.engine.relay),
            Action::Unmanaged => self.outlet.unmanaged(),
            Action::Deliver(element, pair) => {
                // A stanza of a closing stream; its last stanzas may come after one that waits for room.
                self.intake.take_last(&element, &pair).await;
                self.machine.handled();
            }
            Action::Refused { element, refusal } => {
                self.engine.recorder.metrics.stanzas_received.inc(self.leg);
                self.engine.recorder.metrics.stanzas_refused.inc(refusal);
                if tracing::enabled!(tracing::Level::DEBUG)
                    && let Some(omitted) = self.may_log()
                {
                    tracing::debug!(address = %self.address, leg = ?self.leg, bytes = element.bytes().len(), reason = refusal.word().as_str(), omitted, "refused");
                }
            }
            Action::KeyAnswered { pair, id, answer } => self.key_answered(&pair, &id, &answer),
            Action::Opened { from, to } => {
                if let (Leg::Outer, Some(from)) = (self.leg, from) {
                    let source = self.address.ip();
                    self.engine.recorder.saw_inbound(InboundKind::StreamOpened, &from, &to, source);
                }
            }
            Action::Rejected(rejection) => {
                self.component_refused(&rejection);
                self.engine.recorder.saw_refusal(self.leg, self.address, rejection);
            }
            Action::Failed(failure) => self.failed(failure),
            Action::Ends(error) => self.stream_end = Some(StreamEnd::Error(error)),
            Action::VerifyAnswered(answer) => self.conclude(Ok(Outcome::Verified(answer))),
            Action::PairFailed { pair, failure } => {
                self.on_pair_decided(&pair, Some(&failure));
                self.conclude(Err(failure));
            }
            Action::Close => {
                // The peer may close its side in its own time.
                self.withdraw();
                self.connection.output.unsplit(std::mem::take(&mut self.out.bytes));
                let ending = self.stage >= Stage::Bouncing;
                let limit = match (ending, self.shed) {
                    (true, _) => SHUTDOWN_CLOSE_TIMEOUT,
                    (false, true) => SHED_CLOSE_TIMEOUT,
                    (false, false) => CLOSE_TIMEOUT,
                };
                self.connection.close(limit).await;
                let receiving = self.machine.is_theirs();
                if receiving && self.shed {
                    // Its buffers are needed now. Its data is read for a moment, so that it can read the reason.
                    self.connection.shrink();
                    let _ = timeout(SHED_CLOSE_TIMEOUT, self.connection.linger()).await;
                } else if receiving && !ending {
                    self.connection.linger().await;
                }
                self.conclude(Err(Failure::ConnectionLost("negotiating")));
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    async fn authorized(&mut self, pair: &Pair, how: Authentication) -> Flow {
        if self.attempt.is_some() {
            self.how = Some(how);
            let judgement = self.judgement(&pair.to);
            self.watch_expiry(&pair.to, judgement.is_ok());
            self.conclude(Ok(Outcome::Authorized));
            return Flow::Continue;
        }
        self.last_stanza = Instant::now();
        self.authenticated.push((pair.clone(), how));
        let tls = self.connection.tls_version();
        let chain = self.connection.peer_chain();
        match &self.machine {
            Machine::Receiving(_) => {
                let remote = match self.leg {
                    Leg::Outer => &pair.from,
                    Leg::Inner => &pair.to,
                };
                let streams = self.engine.snapshot().config.peers.resolve(remote).streams;
                let streams = streams.and_then(|streams| usize::try_from(streams.get()).ok());
                if let Err(full) = self.holding.proves(pair, chain.fingerprint(), streams) {
                    self.engine.holders.close_an_idle_one(remote, Instant::now());
                    return self.refuse_to_prove(full).await;
                }
                self.newcomer = None;
                let snapshot = self.engine.snapshot_owned();
                let owner = match (self.leg, snapshot.backend(&pair.from)) {
                    (Leg::Inner, Some(backend)) => Owner::Backend(&backend.name),
                    _ => Owner::Peer(remote),
                };
                self.holding.authenticated(owner, self.events.sender());
                self.limit_by(remote);
                let bounds = in_force::limits::stream(&self.engine.snapshot().config).authenticated;
                self.scanner.set_bounds(bounds.with_element_bytes(self.stanza_bytes()));
                self.find_place(remote);
                self.engine.relay.table.peer_is_back(&pair.reversed());
                let judgement = self.around.judge(&chain, &pair.from);
                self.watch_expiry(&pair.from, judgement.is_ok());
                self.report.authorized(&self.engine, pair, how, tls, &chain, judgement);
            }
            // It has no pairs to authenticate.
            Machine::Component(_) => {}
            Machine::Initiating(_) => {
                let judgement = self.around.judge(&chain, &pair.to);
                self.report.authorized(&self.engine, pair, how, tls, &chain, judgement);
                self.on_pair_decided(pair, None);
            }
        }
        Flow::Continue
    }

    /// The pair is authenticated, but a limit is reached.
    async fn refuse_to_prove(&mut self, full: Full) -> Flow {
        let error = StreamError::new(StreamCondition::ResourceConstraint, full.to_string());
        let error = error.because(Word::TooManyStreams);
        if let Machine::Receiving(machine) = &self.machine {
            let named = machine.named();
            self.engine.recorder.saw_refusal(
                self.leg,
                self.address,
                Rejection::of_stream(named, &error),
            );
        }
        self.machine.fail(&error, &*self.around, &mut self.out);
        // The error is written, and the following actions of the machine close the connection.
        Box::pin(self.perform()).await;
        Flow::Stop
    }

    /// Without an error (RFC 6120 §4.4): the peer opens another stream when it needs one.
    async fn close_if_idle(&mut self) -> Flow {
        if self.outlet.is_idle() && !self.intake.is_full() && !self.closing {
            self.closing = true;
            self.machine.close(Instant::now(), &mut self.out);
        }
        self.perform().await
    }

    fn key_answered(&self, pair: &Pair, id: &str, answer: &KeyVerdict) {
        self.engine.inquiries().note(pair, id, answer);
        self.engine.recorder.metrics.keys_answered.inc(VerificationResult::from(answer));
        let receiving = matches!(self.machine, Machine::Receiving(_));
        if *answer == KeyVerdict::Valid {
            // Only a server to which we opened a stream knows such a key, although any server may send the request
            // (XEP-0220 §2.1.2).
            self.engine.relay.table.peer_is_back(pair);
        }
        if *answer == KeyVerdict::Valid && receiving && self.leg == Leg::Outer {
            let source = self.address.ip();
            self.engine.recorder.saw_inbound(
                InboundKind::DialbackVerified,
                &pair.to,
                &pair.from,
                source,
            );
        }
    }

    /// Whether a line about this stream is logged. Unknown servers cannot suppress lines about a peer that has
    /// authenticated a domain.
    pub(super) fn may_log(&self) -> Option<u64> {
        match self.authenticated.first() {
            Some((pair, _)) => self.engine.recorder.may_log_pair(self.leg, pair),
            None => self.engine.recorder.may_log(self.address.ip()),
        }
    }

    /// The negotiation has come to this; on a stream that is of use already, there is none.
    fn conclude(&mut self, outcome: Result<Outcome, Failure>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.conclude(outcome);
        }
    }

    fn failed(&mut self, failure: Failure) {
        if self.attempt.is_some() {
            // The code that opens the stream reports it.
            return self.conclude(Err(failure));
        }
        if let Some(omitted) = self.may_log() {
            tracing::info!(address = %self.address, leg = ?self.leg, reason = failure.word().as_str(), omitted, "{failure}");
        }
        let authenticated = match &self.machine {
            Machine::Receiving(machine) => machine.is_authenticated(),
            Machine::Component(machine) => machine.is_authenticated(),
            Machine::Initiating(_) => true,
        };
        if !authenticated {
            self.engine.recorder.metrics.handshake(self.leg, Direction::Inbound, Err(&failure));
        }
        self.failure = Some(failure);
    }

    /// RFC 6120 §13.7.2.3: the stream closes when a certificate that it depends on expires.
    fn watch_expiry(&mut self, remote: &Domain, valid: bool) {
        let now = Timestamp::now();
        let judged = valid && self.around.peer(remote).verification != Verification::None;
        let theirs = self.connection.peer_chain().first_expiry(now).filter(|_| judged);
        let deadline = expiry::deadline([theirs, self.own_expiry], now, Instant::now());
        if let Some(at) = deadline {
            self.machine.expires(at);
        }
    }

    async fn start_tls(&mut self, domain: &Domain) -> io::Result<()> {
        let presented = self.engine.present(self.leg, domain)?;
        self.own_expiry = presented.first_expiry(Timestamp::now());
        let config = presented.server(TlsStart::StartTls);
        self.connection.flush(CLOSE_TIMEOUT).await?;
        let deadline = self.machine.deadline().unwrap_or_else(far_future);
        tokio::select! {
            handshake = timeout_at(deadline.into(), self.connection.accept_tls(config)) => handshake??,
            () = evicted(self.newcomer.as_ref()) => {
                return Err(io::Error::other("the connection was closed to make room for others"));
            }
        }
        self.machine.on_tls(self.connection.peer_chain(), &*self.around, &mut self.out);
        Ok(())
    }

    /// Verifies the initiating server's certificate on another thread, before the machine requests the result, which is
    /// kept with the chain. False if there was no free turn in time.
    pub(super) async fn judge_ahead(&mut self, from: Option<&str>) -> bool {
        let (Leg::Outer, Machine::Receiving(machine)) = (self.leg, &self.machine) else {
            return true;
        };
        let chain = self.connection.peer_chain();
        let from = from.filter(|_| !chain.is_empty()).and_then(|from| Domain::parse(from).ok());
        let Some(from) = from else { return true };
        if self.around.peer(&from).verification == Verification::None {
            return true;
        }
        let deadline = machine.deadline().unwrap_or_else(far_future);
        let (engine, source) = (Arc::clone(&self.engine), self.address.ip());
        let around = surroundings::of_leg(&self.engine, self.leg);
        let judged = async move {
            let turn = engine.judging.turn(source).await;
            let judge = move || {
                let _ = around.judge(&chain, &from);
                drop(turn);
            };
            spawn_blocking(judge).await
        };
        timeout_at(deadline.into(), judged).await.is_ok()
    }

    fn verify(&mut self, pair: Pair, id: StreamId, key: String) {
        let Machine::Receiving(machine) = &mut self.machine else { return };
        if let Err(refused) = verify::check_name(&self.engine, self.leg, &pair) {
            return machine.on_verification(&pair, &id, refused, &mut self.out);
        }
        let at_once = self.engine.snapshot().config.limits.verifications_per_stream;
        let own = self.verifications.get_or_insert_with(|| Arc::new(Semaphore::new(at_once)));
        let (own, source) = (Arc::clone(own), self.address.ip());
        let (engine, leg, events) =
            (Arc::clone(&self.engine), self.leg, self.events.sender().clone());
        let (time, ended) = (engine.snapshot().config.timeouts.dialback, self.ended.token.clone());
        let authenticated = self.newcomer.is_none();
        self.engine.life.spawn(async move {
            let question = async {
                // First the requests of the stream in their order, then those of the source by domain.
                let _own = own.acquire_owned().await;
                match verify::turn(&engine, leg, source, &pair.from, authenticated).await {
                    Ok(_permit) => {
                        let (pair, id) = (pair.clone(), id.clone());
                        // On the heap: many may wait for their turn.
                        Box::pin(verify::ask(&engine, leg, source, pair, id, key)).await
                    }
                    Err(refused) => refused,
                }
            };
            if let Some(result) = verify::bounded(question, time, ended).await {
                engine.recorder.metrics.verifications.inc((&result).into());
                // The stream that requested it may be closed.
                let _ = events.send(Event::Verdict(Box::new((pair, id, result)))).await;
            }
        });
    }
}

fn far_future() -> Instant {
    clock::after(Instant::now(), Duration::from_hours(24))
}
