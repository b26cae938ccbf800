//! What the machine of a stream asks its driver for.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::peer::Verification as CertificateRole;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::{Event, Flow, Session};
use crate::Domain;
use crate::clock;
use crate::dialback::Verification;
use crate::direction::Direction;
use crate::leg::Leg;
use crate::observe::evidence::InboundKind;
use crate::observe::label::VerificationResult;
use crate::pair::Pair;
use crate::reason::Failure;
use crate::stream::rejection::Named;
use crate::stream::{Action, Authentication, StreamId};
use crate::task::machine::Machine;
use crate::task::negotiate::CLOSING;
use crate::task::{expiry, verify};
use crate::tls::config::TlsStart;

impl Session {
    pub(super) async fn on_event(&mut self, event: Event) -> Flow {
        match event {
            Event::Carry(request) => self.on_request(request).await,
            Event::Verdict(verdict) => {
                let (pair, id, result) = *verdict;
                if let Machine::Receiving(machine) = &mut self.machine {
                    machine.on_verification(&pair, &id, result, &mut self.out);
                }
                self.perform().await
            }
        }
    }

    /// Takes over what the machine wrote and does what it asked for, until it asks for nothing more.
    pub(super) async fn perform(&mut self) -> Flow {
        while !self.out.bytes.is_empty() || !self.out.actions.is_empty() {
            self.connection.output.unsplit(self.out.bytes.split());
            for action in std::mem::take(&mut self.out.actions) {
                if self.act(action).await == Flow::Stop {
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
                    let named = match &self.machine {
                        Machine::Receiving(machine) => machine.named().clone(),
                        Machine::Initiating(_) => Named::default(),
                    };
                    self.engine.saw_failed_handshake(self.leg, self.address, named, &error);
                    // RFC 6120 §5.4.3.2: TCP is closed, without </stream:stream>.
                    return Flow::Stop;
                }
            }
            Action::Restart => self.scanner.restart(),
            Action::Bounds(bounds) => self.scanner.set_bounds(bounds),
            Action::Verify { pair, id, key } => self.verify(pair, id, key),
            Action::Authorized { pair, how } => self.authorized(&pair, how),
            Action::Bidirectional { pair } => self.bidirectional(&pair),
            Action::Acknowledged(count) => self.outlet.acknowledged(count, &self.engine),
            Action::Unmanaged => self.outlet.unmanaged(),
            Action::Deliver(element, pair) => {
                // Of a stream that is closing; its last stanzas may come behind one that waits for room.
                self.intake.finish().await;
                self.intake.take(&element, &pair, Instant::now());
                self.machine.handled();
            }
            Action::Refused { element, refusal } => {
                self.engine.metrics.stanzas_received.inc(self.leg);
                self.engine.metrics.stanzas_refused.inc(refusal);
                tracing::debug!(address = %self.address, leg = ?self.leg, bytes = element.bytes().len(), reason = refusal.label(), "refused");
            }
            Action::KeyAnswered { pair, id, answer } => self.key_answered(&pair, &id, &answer),
            Action::Opened { from, to } => {
                if let (Leg::Outer, Some(from)) = (self.leg, from) {
                    let source = self.address.ip();
                    self.engine.saw_inbound(InboundKind::StreamOpened, &from, &to, source);
                }
            }
            Action::Rejected(rejection) => {
                self.engine.saw_refusal(self.leg, self.address, rejection);
            }
            Action::Failed(failure) => self.failed(failure),
            Action::PairFailed { pair, failure } => self.on_pair_decided(&pair, Some(&failure)),
            Action::Close => {
                // The peer may take its time.
                self.withdraw();
                self.connection.output.unsplit(self.out.bytes.split());
                self.connection.close(CLOSING).await;
                let receiving = matches!(self.machine, Machine::Receiving(_));
                if receiving && !self.engine.shutdown.is_cancelled() {
                    self.connection.linger().await;
                }
                return Flow::Stop;
            }
            // Before a stream that we open is authenticated, and on streams for verification only.
            Action::ConnectTls { .. } | Action::VerifyAnswered(_) => {}
        }
        Flow::Continue
    }

    fn authorized(&mut self, pair: &Pair, how: Authentication) {
        self.last_stanza = Instant::now();
        let tls = self.connection.tls_version();
        let chain = self.connection.peer_chain();
        match &self.machine {
            Machine::Receiving(_) => {
                self.newcomer = None;
                self.engine.table.peer_is_back(&pair.reversed());
                let judgement = self.around.judge(&chain, &pair.from);
                self.watch_expiry(&pair.from, judgement.is_ok());
                self.report.authorized(&self.engine, pair, how, tls, judgement);
            }
            Machine::Initiating(_) => {
                let judgement = self.around.judge(&chain, &pair.to);
                self.report.authorized(&self.engine, pair, how, tls, judgement);
                self.on_pair_decided(pair, None);
            }
        }
    }

    fn key_answered(&self, pair: &Pair, id: &str, answer: &Verification) {
        self.engine.inquiries().note(pair, id, answer);
        self.engine.metrics.keys_answered.inc(VerificationResult::from(answer));
        let receiving = matches!(self.machine, Machine::Receiving(_));
        if *answer == Verification::Valid {
            // Nobody but a server to which a stream of ours has gone knows such a key: anybody may ask (XEP-0220 §2.1.2).
            self.engine.table.peer_is_back(pair);
        }
        if *answer == Verification::Valid && receiving && self.leg == Leg::Outer {
            let source = self.address.ip();
            self.engine.saw_inbound(InboundKind::DialbackVerified, &pair.to, &pair.from, source);
        }
    }

    fn failed(&mut self, failure: Failure) {
        if let Some(omitted) = self.engine.may_log(self.address.ip()) {
            tracing::info!(address = %self.address, leg = ?self.leg, reason = failure.label(), omitted, "{failure}");
        }
        if let Machine::Receiving(machine) = &self.machine
            && !machine.is_authenticated()
        {
            self.engine.metrics.handshake(self.leg, Direction::Inbound, Err(&failure));
        }
        self.failure = Some(failure);
    }

    /// RFC 6120 §13.7.2.3: the stream ends with the certificates that it rests on.
    fn watch_expiry(&mut self, remote: &Domain, valid: bool) {
        let now = Timestamp::now();
        let judged = valid && self.around.peer(remote).verification != CertificateRole::None;
        let theirs = self.connection.peer_chain().first_expiry(now).filter(|_| judged);
        let deadline = expiry::deadline([theirs, self.own_expiry], now, Instant::now());
        if let (Some(at), Machine::Receiving(machine)) = (deadline, &mut self.machine) {
            machine.expires(at);
        }
    }

    async fn start_tls(&mut self, domain: &Domain) -> io::Result<()> {
        let presented = self.engine.presented(self.leg, domain)?;
        self.own_expiry = presented.first_expiry(Timestamp::now());
        let config = presented.server(TlsStart::StartTls);
        self.connection.flush(CLOSING).await?;
        let deadline = self.machine.deadline().unwrap_or_else(far_future);
        timeout_at(deadline.into(), self.connection.accept_tls(config)).await??;
        if let Machine::Receiving(machine) = &mut self.machine {
            machine.on_tls(self.connection.peer_chain(), &mut self.out);
        }
        Ok(())
    }

    /// Judges the initiating server's certificate on another thread, before the machine asks for the verdict, which is kept
    /// with the chain. False if there was no free turn in time.
    pub(super) async fn judge_ahead(&mut self, from: Option<&str>) -> bool {
        let (Leg::Outer, Machine::Receiving(machine)) = (self.leg, &self.machine) else {
            return true;
        };
        let chain = self.connection.peer_chain();
        let from = from.filter(|_| !chain.is_empty()).and_then(|from| Domain::parse(from).ok());
        let Some(from) = from else { return true };
        if self.around.peer(&from).verification == CertificateRole::None {
            return true;
        }
        let deadline = machine.deadline().unwrap_or_else(far_future);
        let (engine, source) = (Arc::clone(&self.engine), self.address.ip());
        let around = self.leg.surroundings(&self.engine);
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
        let permit = match verify::admit(&self.engine, self.leg, self.address.ip(), &pair) {
            Ok(permit) => permit,
            Err(refused) => {
                return machine.on_verification(&pair, &id, refused, &mut self.out);
            }
        };
        let (engine, leg, events) = (Arc::clone(&self.engine), self.leg, self.events.0.clone());
        let (time, ended) = (engine.snapshot().config.timeouts.dialback, self.ended.token.clone());
        let source = self.address.ip();
        self.engine.spawn(async move {
            let question = verify::ask(&engine, leg, source, pair.clone(), id.clone(), key);
            if let Some(result) = verify::bounded(permit, question, time, ended).await {
                engine.metrics.verifications.inc((&result).into());
                // The stream that asked may be gone.
                let _ = events.send(Event::Verdict(Box::new((pair, id, result)))).await;
            }
        });
    }
}

fn far_future() -> Instant {
    clock::after(Instant::now(), Duration::from_hours(24))
}
