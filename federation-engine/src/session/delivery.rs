//! The result of written stanzas: the system reports which of them the peer's TCP has.

use std::time::{Duration, Instant};

use s2s_proto::clock;
use tokio::time::sleep;

use super::Session;
use crate::engine::life::Stage;
use crate::sockets::connection::Batch;
use crate::sockets::socket::warn_unsupported;

/// Maximum time for which the end of a stream waits for the peer's TCP to acknowledge the last stanzas, which would
/// otherwise be sent again.
const LAST_ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of stanzas in one TLS record (RFC 8446 §5.1).
const MAX_RECORD_BYTES: u64 = 1 << 14;

impl Session {
    /// Finds out the result of the stanzas in transit. Those that go back to their queues must not arrive later.
    pub(super) async fn settle(&mut self) {
        self.note_batch();
        let timeout = if self.stage < Stage::Bouncing {
            LAST_ACKNOWLEDGEMENT_TIMEOUT
        } else {
            Duration::ZERO
        };
        let until = clock::after(Instant::now(), timeout);
        let mut pause = Duration::from_millis(1);
        while self.outlet.is_in_flight() {
            let is_final = self.ask();
            if is_final || !self.outlet.is_in_flight() || Instant::now() >= until {
                break;
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(Duration::from_millis(100));
        }
        if let Some(seen) = self.connection.acknowledged().filter(|_| self.outlet.is_in_flight()) {
            let record = self.connection.tls_version().map_or(0, |_| MAX_RECORD_BYTES);
            self.outlet.received_at_last(seen.bytes, record, &self.engine.relay);
        }
        // A peer that acknowledges by XEP-0198 may still read the end of a stream that did not break.
        let is_over = self.failure.is_some() || !self.machine.management().counts();
        if !self.outlet.is_confirmed() && is_over {
            self.connection.abort();
        }
    }

    /// Records the stanzas that TCP has accepted.
    pub(super) fn note_batch(&mut self) {
        if let Batch::Sent(span) = self.connection.batch() {
            self.outlet.written(span, &self.engine.relay);
        }
    }

    /// Queries the system which stanzas the peer's TCP has. True if it will have no more.
    pub(super) fn ask(&mut self) -> bool {
        let seen = self.connection.acknowledged();
        if seen.is_none() {
            warn_unsupported();
        }
        self.outlet.received(seen.map(|seen| seen.bytes), &self.engine.relay);
        seen.is_none_or(|seen| seen.is_final)
    }
}
