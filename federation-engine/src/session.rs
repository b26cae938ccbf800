//! The life of a stream: drives its machine over a connection, passes on the stanzas that the peer sends, and sends
//! those that its links hold.
//!
//! This file has the loop. [`component`] is about streams of components. [`reading`] delimits and passes on received data, and [`actions`] performs the actions of
//! the machine. [`deadlines`] acts when time has passed, and [`delivery`] determines which stanzas the peer has.
//! [`ending`] closes the stream on shutdown, [`events`] delivers requests of other tasks, and [`limits`] enforces the
//! peer's limits. [`opening`] begins streams that we open, and [`negotiate`] brings them to their first pair.
//! [`reload`] closes the stream when the configuration no longer allows it, and [`sharing`] lets further links use it.

mod actions;
mod attempt;
mod component;
mod deadlines;
mod delivery;
mod ending;
mod events;
mod expiry;
mod limits;
mod machine;
pub(crate) mod negotiate;
mod opening;
mod reading;
mod reload;
mod report;
mod role;
mod sharing;
mod stream_end;
pub(crate) mod target;
mod verify;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::pair::Pair;
use s2s_proto::reason::Failure;
use s2s_proto::stream::{Authentication, Component, Inbound, Out, Surroundings, Transport};
use s2s_proto::xml::Scanner;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep_until;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::admission::holders::{self, Holding};
use crate::admission::newcomers::{Admitted, Newcomer};
use crate::engine::life::{News, Stage};
use crate::engine::{Engine, surroundings};
use crate::in_force;
use crate::leg::{Door, Leg};
use crate::relay::intake::Intake;
use crate::relay::outlet::Outlet;
use crate::route::streams::{End, Place, Registration, Request};
use crate::session::attempt::Attempt;
use crate::session::machine::Machine;
use crate::session::report::StreamReport;
use crate::session::stream_end::StreamEnd;
use crate::sockets::connection::{Connection, Progress};
use crate::sockets::turn;
use events::Events;

/// Maximum output that a peer has not read. Above it, the engine stops reading from the peer, which causes answers and
/// does not read them.
const MAX_UNSENT_BYTES: usize = 256 * 1024;

/// Interval of the checks for sufficient memory to continue reading.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Notifies the tasks of a stream that it has ended.
struct Ended {
    token: CancellationToken,
    _guard: DropGuard,
}

impl Ended {
    fn not_yet() -> Self {
        let token = CancellationToken::new();
        Self { _guard: token.clone().drop_guard(), token }
    }
}

/// Whether the stream continues.
#[derive(PartialEq)]
enum Flow {
    Continue,
    Stop,
}

/// The known facts about the other end, and its counters.
struct Peer {
    address: SocketAddr,
    report: StreamReport,
    holding: Holding,
}

/// A stream in either role.
pub(crate) struct Session {
    engine: Arc<Engine>,
    leg: Leg,
    address: SocketAddr,
    around: Box<dyn Surroundings + Send + Sync>,
    connection: Connection,
    scanner: Scanner,
    machine: Machine,
    out: Out,
    intake: Intake,
    outlet: Outlet,
    report: StreamReport,
    events: Events,
    /// Slots for the verifications that the peer requested.
    verifications: Option<Arc<Semaphore>>,
    /// Cancels the verifications that the peer requested.
    ended: Ended,
    /// Where links find the stream.
    registrations: Vec<Registration>,
    /// The authenticated pairs, and how they were authenticated.
    authenticated: Vec<(Pair, Authentication)>,
    /// What the stream has as that of a component.
    component: Option<Box<role::Role>>,
    /// The target of a stream that we opened.
    place: Option<Place>,
    /// Links whose pair was requested from the peer (XEP-0220 §2.6).
    requested: Vec<Request>,
    /// How the peer of a stream that we opened authenticated us.
    how: Option<Authentication>,
    /// The resources of the budget that the stream holds.
    holding: Holding,
    /// The limits that the configuration sets for the peer.
    limits: limits::Limits,
    /// Held until the stream is authenticated.
    newcomer: Option<Newcomer>,
    unauthenticated_bytes: usize,
    /// Expiry of the certificate that we presented.
    own_expiry: Option<Timestamp>,
    last_stanza: Instant,
    /// Time of the last sent or received data.
    last_traffic: Instant,
    /// Deadline for the peer to accept the data that is being sent.
    write_by: Option<Instant>,
    /// Nothing more is sent: our side of the stream is closed or will close.
    closing: bool,
    /// The state of the engine, and the part of it that was read last.
    news: watch::Receiver<News>,
    revision: u64,
    stage: Stage,
    /// Set while the engine is shutting down and stanzas are unacknowledged: time of the next check, and number of
    /// stanzas at the last one.
    stuck: Option<(Instant, u64)>,
    /// The stream is closing to make room.
    shed: bool,
    /// Others opened the stream: the shutdown waits for it before it stops reading.
    parting: Option<TaskTrackerToken>,
    /// The engine is shutting down: latest time at which the stream closes.
    leave_by: Option<Instant>,
    /// The failure that broke the stream.
    failure: Option<Failure>,
    /// The end of a stream that no failure broke.
    stream_end: Option<StreamEnd>,
    /// The result of its negotiation so far; `None` once the stream is usable.
    attempt: Option<Box<Attempt>>,
}

impl Session {
    /// A stream that the peer opens.
    pub(crate) fn receiving(
        engine: &Arc<Engine>,
        door: Door,
        connection: Connection,
        transport: Transport,
        address: SocketAddr,
        Admitted { newcomer, holding }: Admitted,
        started: Instant,
    ) -> Self {
        let direct = matches!(transport, Transport::DirectTls(_));
        let limits = in_force::limits::stream(&engine.snapshot().config);
        let leg = door.leg();
        let machine = match door {
            Door::Outer | Door::Inner => {
                Machine::Receiving(Inbound::new(transport, limits, started))
            }
            Door::Component => Machine::Component(Component::new(limits, started)),
        };
        let report = StreamReport::inbound(leg, address, direct);
        let (newcomer, around) =
            (Some(newcomer), surroundings::of_source(engine, leg, address.ip()));
        let by = Peer { address, report, holding };
        let fresh = Self::over(engine, leg, connection, by, machine, started);
        Self { around, newcomer, parting: Some(engine.life.may_part()), ..fresh }
    }

    fn over(
        engine: &Arc<Engine>,
        leg: Leg,
        connection: Connection,
        Peer { address, report, holding }: Peer,
        machine: Machine,
        now: Instant,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            leg,
            address,
            around: surroundings::of_leg(engine, leg),
            connection,
            scanner: Scanner::new(in_force::limits::before_authentication(
                &engine.snapshot().config,
            )),
            machine,
            out: Out::default(),
            intake: Intake::new(&engine.relay, leg),
            outlet: Outlet::new(leg),
            report,
            events: Events::default(),
            verifications: None,
            ended: Ended::not_yet(),
            registrations: Vec::new(),
            authenticated: Vec::new(),
            component: None,
            place: None,
            requested: Vec::new(),
            how: None,
            holding,
            limits: limits::Limits::default(),
            newcomer: None,
            unauthenticated_bytes: 0,
            own_expiry: None,
            last_stanza: now,
            last_traffic: now,
            write_by: None,
            closing: false,
            revision: engine.life.news().borrow().revision,
            news: engine.life.news(),
            stage: Stage::Serving,
            stuck: None,
            shed: false,
            parting: None,
            leave_by: None,
            failure: None,
            stream_end: None,
            attempt: None,
        }
    }

    /// The expiry of the certificate that was presented before the stream began.
    pub(crate) fn presented_until(&mut self, end: Option<Timestamp>) {
        self.own_expiry = end;
    }

    /// Serves the stream to its end. The returned value is that end as seen by the link for which the stream was
    /// opened. The future holds the session once: an `async fn` would reserve space for its argument as well.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its argument twice")]
    pub(crate) fn serve(mut self) -> impl Future<Output = Option<End>> + Send {
        async move {
            turn::taking_turns(pin!(self.run())).await;
            self.withdraw();
            if let Some(failure) = &self.failure {
                self.report.lost(&self.engine, failure);
                self.leave_domain(&failure.to_string());
            } else {
                let end = self.stream_end.take().unwrap_or(StreamEnd::Disconnected);
                self.report.ended(&self.engine, &end);
                self.leave_domain(&end.to_string());
            }
            self.settle().await;
            let end = self.outlet.release(&self.engine.relay, self.failure.as_ref(), self.closing);
            // A stanza that waits for room remains; the connection is closed.
            drop((self.connection, self.holding));
            self.intake.finish().await;
            end
        }
    }

    async fn run(&mut self) {
        // Data that arrived together with the end of the negotiation.
        let mut flow = self.process().await;
        while flow == Flow::Continue {
            self.fill();
            flow = if self.leave_by.is_some() && self.outlet.is_confirmed() {
                self.leave().await
            } else {
                self.step().await
            };
        }
    }

    /// Writes stanzas to the output when it is empty.
    fn fill(&mut self) {
        let timeout = self.engine.snapshot().config.timeouts.user_timeout;
        let own_limit = self.stanza_bytes();
        if self.connection.output.is_empty() {
            self.write_by = None;
            self.note_batch();
            if self.outlet.ask_at().is_some_and(|at| at <= Instant::now()) {
                self.ask();
            }
            if !self.closing {
                let output = &mut self.connection.output;
                let limits = self.machine.peer_limits().or_bytes(own_limit);
                let management = self.machine.management();
                let filled = self.outlet.fill(&self.engine.relay, &limits, management, output);
                if filled {
                    self.last_stanza = Instant::now();
                }
                management.request(self.last_stanza, timeout, &mut self.out);
                // Drops the rest of that buffer, which would keep all of its memory allocated.
                output.unsplit(std::mem::take(&mut self.out.bytes));
                if filled {
                    self.connection.begin_batch();
                    self.machine.traffic(self.last_stanza);
                }
            }
        }
        if !self.connection.output.is_empty() && self.write_by.is_none() {
            self.last_traffic = Instant::now();
            self.write_by = self.last_traffic.checked_add(timeout);
        }
    }

    /// The resources that the stream holds.
    fn held(&self) -> usize {
        let authenticated = if self.newcomer.is_none() { holders::AUTHENTICATED } else { 0 };
        holders::held(&self.connection).saturating_add(authenticated + self.outlet.held())
    }

    /// Waits for one event, and handles it.
    async fn step(&mut self) -> Flow {
        self.holding.report(self.held(), self.last_stanza);
        let exhausted = self.engine.ledger.is_exhausted();
        let reading = !exhausted
            && self.limits.allow_reading()
            && !self.intake.is_full()
            && self.connection.output.len() < MAX_UNSENT_BYTES
            && self.is_read();
        let look_again = exhausted.then(|| clock::after(Instant::now(), EXHAUSTED_PAUSE));
        let sending = self.connection.output.is_empty() && !self.closing;
        let idle = self.idle_at();
        let deadlines = [
            self.machine.deadline(),
            idle,
            self.write_by,
            self.leave_by,
            self.shrink_at(),
            self.outlet.ask_at(),
            self.stuck.map(|(at, _)| at),
            look_again,
            self.limits.deadline(),
            self.component.as_ref().map(|role| role.deadline()),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        tokio::select! {
            // Rare events come first and outgoing stanzas last: a stanza written after the peer's stream close would be
            // lost.
            biased;
            Ok(()) = self.news.changed() => self.on_news().await,
            () = sleep_until(deadline.unwrap_or(self.last_stanza).into()), if deadline.is_some() => {
                self.on_deadline(Instant::now(), idle).await
            }
            () = evicted(self.newcomer.as_ref()), if self.newcomer.is_some() => {
                self.on_evicted().await
            }
            Some(event) = self.events.next() => self.on_event(event).await,
            progress = self.connection.exchange(reading) => match progress {
                Ok(Progress::Received(0)) => self.on_lost(StreamEnd::Disconnected),
                Err(error) => self.on_lost(StreamEnd::Broken(error)),
                Ok(Progress::Received(number)) => self.received(number).await,
                Ok(Progress::Sent) => Flow::Continue,
            },
            () = self.intake.room() => {
                self.intake.retry();
                self.process().await
            }
            () = self.outlet.work(), if sending => Flow::Continue,
        }
    }

    /// The connection closed without a stream error.
    fn on_lost(&mut self, end: StreamEnd) -> Flow {
        self.stream_end.get_or_insert(end);
        let is_sink = matches!(self.machine, Machine::Initiating(_) | Machine::Component(_));
        if is_sink && !self.closing && self.newcomer.is_none() {
            self.failure.get_or_insert(Failure::ConnectionLost("waiting for stanzas"));
        }
        Flow::Stop
    }
}

async fn evicted(newcomer: Option<&Newcomer>) {
    match newcomer {
        Some(newcomer) => newcomer.evicted().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: fn(Session) -> F) -> usize {
        size_of::<F>()
    }

    /// Every stream holds a value of this size during its whole life.
    #[test]
    fn a_stream_is_small_and_its_task_holds_it_once() {
        let (session, task) = (size_of::<Session>(), size_of_future(Session::serve));
        println!("session {session}, task {task}");
        assert!(session <= 3 * 1024 && task < 2 * session, "session {session}, task {task}");
    }
}
