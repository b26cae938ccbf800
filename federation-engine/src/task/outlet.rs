//! What a stream takes away: the stanzas of the links that it carries, in the order of each, kept until the transport, or
//! the peer by its acknowledgement (XEP-0198), has taken them over.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

use super::engine::Engine;
use crate::leg::Leg;
use crate::reason::Failure;
use crate::route::link::Link;
use crate::route::pinned::{Pinned, copied};
use crate::route::queue::{STANZA_OVERHEAD, Waiting};
use crate::stream::{Management, StreamLimits};

/// Bytes that one write to the transport gathers.
const BATCH: usize = 64 * 1024;

/// How a stream ended, as far as a link that it carried is concerned.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// What broke it; `None`: it was closed in order.
    pub(crate) failure: Option<Failure>,
    /// It took stanzas of the link, or it was we who closed it.
    pub(crate) useful: bool,
}

struct Carried {
    link: Arc<Link>,
    /// Whom to tell of the end.
    end: Option<oneshot::Sender<End>>,
    /// The peer has taken stanzas.
    used: bool,
}

/// A stanza that was given to the transport.
struct Sent {
    /// Place in `carried`.
    of: usize,
    waiting: Waiting,
}

/// The outgoing side of one stream.
pub(crate) struct Outlet {
    leg: Leg,
    /// Told by the links when something is queued.
    wake: Arc<Notify>,
    carried: Vec<Carried>,
    /// Where the next batch begins, so that no link waits for ever behind a busy one.
    next: usize,
    /// Taken from a queue, on the way to `sent`; reused.
    batch: Vec<Waiting>,
    /// Neither relayed for sure nor lost.
    sent: VecDeque<Sent>,
    sent_bytes: usize,
    /// The last of `sent`, which may still be views into read buffers.
    pinned: Pinned,
    /// The peer acknowledges.
    managed: bool,
}

impl Outlet {
    pub(crate) fn new(leg: Leg) -> Self {
        Self {
            leg,
            wake: Arc::default(),
            carried: Vec::new(),
            next: 0,
            batch: Vec::new(),
            sent: VecDeque::new(),
            sent_bytes: 0,
            pinned: Pinned::default(),
            managed: false,
        }
    }

    /// Carries a link from now on; `end` is told when that is over.
    pub(crate) fn carry(&mut self, link: Arc<Link>, end: Option<oneshot::Sender<End>>) {
        link.established(&self.wake);
        self.carried.push(Carried { link, end, used: false });
    }

    /// Waits until something may be queued. What was queued before the call counts.
    pub(crate) fn work(&self) -> Notified<'_> {
        self.wake.notified()
    }

    /// What is kept of what was sent.
    pub(crate) fn held(&self) -> usize {
        let entries = self.sent.len().saturating_mul(STANZA_OVERHEAD);
        entries.saturating_add(self.sent_bytes).saturating_add(self.pinned.excess())
    }

    /// What became of everything that was sent is known.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.sent.is_empty()
    }

    /// Somebody at the other end has answered one of the pairs.
    pub(crate) fn is_answered(&self) -> bool {
        self.carried.iter().any(|carried| carried.link.is_answered())
    }

    /// Nothing waits, nothing is unconfirmed.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_confirmed() && self.carried.iter().all(|carried| carried.link.is_empty())
    }

    /// Moves stanzas into `output`, as much as one write takes. True if there were any.
    pub(crate) fn fill(
        &mut self,
        engine: &Arc<Engine>,
        limits: &StreamLimits,
        management: &mut Management,
        output: &mut BytesMut,
    ) -> bool {
        // A peer that does not acknowledge holds its own stanzas up, and bounds what is kept for it.
        let credit = engine.queue_bounds().bytes.saturating_sub(self.sent_bytes);
        if self.managed && credit == 0 {
            return false;
        }
        let before = self.sent.len();
        for offset in 0..self.carried.len() {
            let of = (self.next + offset) % self.carried.len();
            let Some(carried) = self.carried.get(of) else { continue };
            carried.link.take(BATCH, &mut self.batch);
            for waiting in self.batch.drain(..) {
                if limits.exceeded_by(waiting.stanza.len()).is_some() {
                    engine.too_large(&waiting.stanza, self.leg, limits);
                    continue;
                }
                output.extend_from_slice(&waiting.stanza);
                self.sent_bytes += waiting.stanza.len();
                let due = self.pinned.add(&waiting.stanza);
                self.sent.push_back(Sent { of, waiting });
                for Sent { waiting, .. } in self.sent.iter_mut().rev().take(due) {
                    waiting.stanza = copied(&waiting.stanza);
                }
            }
            if output.len() >= BATCH {
                self.next = of + 1;
                break;
            }
        }
        let count = self.sent.len() - before;
        self.managed = management.sending(u32::try_from(count).unwrap_or(u32::MAX));
        count > 0
    }

    /// The transport has taken everything. Without acknowledgements that is all there is to know.
    pub(crate) fn written(&mut self, engine: &Engine) {
        if !self.managed {
            self.confirm(self.sent.len(), engine);
        }
    }

    /// The peer has taken over the oldest `count` stanzas.
    pub(crate) fn acknowledged(&mut self, count: u32, engine: &Engine) {
        self.confirm(usize::try_from(count).unwrap_or(usize::MAX), engine);
    }

    /// The stream is idle: gives back memory that only a busy one needs.
    pub(crate) fn shrink(&mut self) {
        self.batch.shrink_to_fit();
        self.sent.shrink_to_fit();
        for carried in &self.carried {
            carried.link.shrink();
        }
    }

    /// The peer does not acknowledge after all.
    pub(crate) fn unmanaged(&mut self) {
        self.managed = false;
    }

    fn confirm(&mut self, count: usize, engine: &Engine) {
        let count = count.min(self.sent.len());
        if count == 0 {
            return;
        }
        for sent in self.sent.drain(..count) {
            self.sent_bytes -= sent.waiting.stanza.len();
            if let Some(carried) = self.carried.get_mut(sent.of) {
                carried.used = true;
            }
        }
        self.pinned.left(self.sent.len());
        engine.metrics.stanzas_relayed.inc_by(self.leg, count as u64);
        engine.metrics.stanzas_queued.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The stream is over. What is not confirmed goes back to the front of its queue, in its order: the next stream sends
    /// it again. `closed`: it was we who closed it.
    pub(crate) fn release(mut self, failure: Option<&Failure>, closed: bool) -> Option<End> {
        for (of, carried) in self.carried.iter().enumerate() {
            let unsure = self.sent.iter().filter(|sent| sent.of == of);
            self.batch.extend(unsure.map(|sent| sent.waiting.clone()));
            carried.link.put_back(&mut self.batch);
        }
        let mut own = None;
        for Carried { link: _, end, used } in self.carried {
            let told = End { failure: failure.cloned(), useful: used || closed };
            match end {
                // Whoever waited is gone with the engine.
                Some(end) => drop(end.send(told)),
                None => own = Some(told),
            }
        }
        own
    }
}
