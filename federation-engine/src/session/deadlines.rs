//! The deadlines of a stream: when it is idle, when its buffers shrink, and the actions at the next deadline.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use s2s_proto::clock;
use s2s_proto::reason::Failure;

use super::stream_end::StreamEnd;
use super::{Flow, Session};
use crate::leg::Leg;
use crate::session::machine::Machine;

/// Divisor of the idle time of a stream to a backend that has sent only errors: unknown servers choose the names for
/// which such streams exist. By default, such a stream closes after 30 s.
const UNANSWERED_SHARE: u32 = 20;

/// Time for which a stream without traffic keeps the buffers of a busy one.
const BUFFER_RETENTION: Duration = Duration::from_secs(10);

impl Session {
    /// An idle stream is closed without an error; only an authenticated one can be idle.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        // A component cannot be called back: only it opens the stream.
        if matches!(self.machine, Machine::Component(_)) {
            return None;
        }
        let own = self.engine.snapshot().config.timeouts.idle;
        let answered = self.outlet.is_answered() || self.intake.has_answered();
        let own = if self.leg == Leg::Inner && !answered {
            own.map(|own| own / UNANSWERED_SHARE)
        } else {
            own
        };
        let idle = self.machine.peer_limits().idle_time(own)?;
        let is_idle = !self.closing
            && self.newcomer.is_none()
            && self.outlet.is_idle()
            && !self.intake.is_full();
        is_idle.then(|| clock::after(self.last_stanza, idle))
    }

    /// Time at which the buffers of a busy stream are released.
    pub(super) fn shrink_at(&self) -> Option<Instant> {
        let swollen = self.connection.is_swollen() && !self.intake.is_full();
        swollen.then(|| self.last_traffic.checked_add(BUFFER_RETENTION)).flatten()
    }

    fn shrink(&mut self, now: Instant) {
        self.last_traffic = now;
        self.connection.shrink();
        self.outlet.shrink();
        if self.out.bytes.is_empty() {
            self.out.bytes = BytesMut::new();
        }
    }

    pub(super) async fn on_deadline(&mut self, now: Instant, idle: Option<Instant>) -> Flow {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.write_by) {
            let text = "sending; the peer accepted no data for `timeouts.userTimeoutSeconds`";
            self.failure = Some(Failure::ConnectionLost(text));
            return Flow::Stop;
        }
        if due(self.leave_by) {
            return self.leave().await;
        }
        if let Some((_, confirmed)) = self.stuck.filter(|(at, _)| *at <= now) {
            self.watch_progress(now);
            if self.stuck.is_some_and(|(_, then)| then == confirmed) {
                self.closing = true;
                return self.leave().await;
            }
        }
        if due(self.limits.deadline()) {
            self.on_limits_due(now);
            // Data that has already been received waits to be processed.
            return self.process().await;
        }
        if due(self.component.as_ref().map(|role| role.deadline()))
            && self.on_role_due(now) == Flow::Stop
        {
            return Flow::Stop;
        }
        if due(self.shrink_at()) {
            self.shrink(now);
        }
        if due(self.outlet.ask_at()) {
            self.ask();
        }
        if !due(idle) && !due(self.machine.deadline()) {
            return Flow::Continue;
        }
        if due(idle) {
            self.closing = true;
            self.stream_end =
                Some(StreamEnd::Idle(now.saturating_duration_since(self.last_stanza)));
            self.machine.close(now, &mut self.out);
        } else {
            self.machine.on_timeout(now, &*self.around, &mut self.out);
        }
        let flow = self.perform().await;
        // If we closed the stream because it was idle or a certificate expired, that is not a failure of the peer.
        self.closing |= flow == Flow::Stop && self.failure.is_none();
        flow
    }
}
