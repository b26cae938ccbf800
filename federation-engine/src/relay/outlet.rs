//! The outgoing side of a stream: the stanzas of the links that it carries, in the order of each link. They are kept
//! until the peer has acknowledged them: by XEP-0198, otherwise by its TCP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use s2s_proto::pair::Pair;
use s2s_proto::reason::Failure;
use s2s_proto::stanza::rescope;
use s2s_proto::stream::{Management, StreamLimits};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

use super::Relay;
use crate::leg::Leg;
use crate::route::link::Link;
use crate::route::pinned::{Pinned, copied};
use crate::route::poison::{self, Verdict};
use crate::route::queue::{STANZA_OVERHEAD, Waiting};
use crate::route::streams::End;
use crate::sockets::in_flight::{InFlight, Span};

/// Maximum bytes that one write to the transport combines.
const MAX_BATCH_BYTES: usize = 64 * 1024;

struct Carried {
    link: Arc<Link>,
    /// Notified of the end.
    end: Option<oneshot::Sender<End>>,
    /// The peer has accepted stanzas.
    used: bool,
    /// It sends no more, and leaves the stream once the result of what it sent is known.
    leaving: bool,
    /// It has sent since the last look for idle links.
    recent: bool,
}

/// A stanza that was given to the transport.
struct Sent {
    /// Index in `carried`.
    of: usize,
    waiting: Waiting,
    /// Bytes of the stanza as it was written.
    written: usize,
}

/// The outgoing side of one stream.
pub(crate) struct Outlet {
    leg: Leg,
    /// Notified by the links when a stanza is queued.
    wake: Arc<Notify>,
    carried: Vec<Carried>,
    /// The link with which the next batch begins, so that no link waits forever behind a busy one.
    next: usize,
    /// Stanzas taken from a queue, to be moved to `sent`. The buffer is reused.
    batch: Vec<Waiting>,
    /// Stanzas that are neither certainly relayed nor certainly lost.
    sent: VecDeque<Sent>,
    sent_bytes: usize,
    /// The last stanzas of `sent`, which may still be views into read buffers.
    pinned: Pinned,
    /// The first stanzas of `sent`, which only TCP acknowledges.
    in_flight: InFlight,
    /// The peer acknowledges by XEP-0198.
    managed: bool,
    /// The peer is a component: stanzas that declare their namespace are changed.
    rescopes: bool,
    /// Number of confirmed suspects.
    cleared: usize,
    /// Number of stanzas confirmed since the stream began.
    confirmed: u64,
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
            in_flight: InFlight::default(),
            managed: false,
            rescopes: false,
            cleared: 0,
            confirmed: 0,
        }
    }

    /// Carries a link from now on. `end` is notified when the stream no longer carries it.
    pub(crate) fn carry(&mut self, link: Arc<Link>, end: Option<oneshot::Sender<End>>) {
        link.established(&self.wake);
        self.carried.push(Carried { link, end, used: false, leaving: false, recent: true });
    }

    /// The peer is a component.
    pub(crate) fn for_component(&mut self) {
        self.rescopes = true;
    }

    /// Links of these pairs leave the stream, as soon as the result of what they sent is known.
    pub(crate) fn let_go(&mut self, leaves: impl Fn(&Pair) -> bool) {
        for carried in &mut self.carried {
            carried.leaving |= leaves(&carried.link.pair);
        }
        self.release_leaving();
    }

    /// Links that have sent nothing since the last call leave the stream.
    pub(crate) fn let_idle_go(&mut self) {
        for carried in &mut self.carried {
            let recent = std::mem::take(&mut carried.recent);
            carried.leaving |= !recent && carried.link.is_empty();
        }
        self.release_leaving();
    }

    /// Notifies the leaving links whose stanzas are all confirmed, and forgets them.
    fn release_leaving(&mut self) {
        if !self.carried.iter().any(|carried| carried.leaving) {
            return;
        }
        let mut unsure = vec![false; self.carried.len()];
        for sent in &self.sent {
            if let Some(unsure) = unsure.get_mut(sent.of) {
                *unsure = true;
            }
        }
        let (mut places, mut kept) = (Vec::with_capacity(unsure.len()), Vec::new());
        for (carried, unsure) in std::mem::take(&mut self.carried).into_iter().zip(unsure) {
            places.push(kept.len());
            if unsure || !carried.leaving {
                kept.push(carried);
            } else if let Some(end) = carried.end {
                // The waiting task ended together with the relay.
                let _ = end.send(End { failure: None, useful: true, at_stanza: false });
            }
        }
        for sent in &mut self.sent {
            if let Some(place) = places.get(sent.of) {
                sent.of = *place;
            }
        }
        (self.carried, self.next) = (kept, 0);
    }

    /// Waits until a stanza may be queued. A stanza that was queued before the call counts.
    pub(crate) fn work(&self) -> Notified<'_> {
        self.wake.notified()
    }

    /// Bytes that the sent stanzas still occupy.
    pub(crate) fn held(&self) -> usize {
        let entries = self.sent.len().saturating_mul(STANZA_OVERHEAD);
        entries.saturating_add(self.sent_bytes).saturating_add(self.pinned.excess())
    }

    /// The result of every sent stanza is known.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.sent.is_empty()
    }

    /// The peer must still acknowledge stanzas by XEP-0198.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.managed && !self.is_confirmed()
    }

    /// Number of stanzas confirmed since the stream began.
    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// A sender at the other end has been answered for one of the pairs.
    pub(crate) fn is_answered(&self) -> bool {
        self.carried.iter().any(|carried| carried.link.is_answered())
    }

    /// No stanza is queued or unconfirmed.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_confirmed() && self.carried.iter().all(|carried| carried.link.is_empty())
    }

    /// Links use the stream.
    pub(crate) fn carries_any(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Moves stanzas into `output`, up to the size of one write. Returns true if it moved any.
    pub(crate) fn fill(
        &mut self,
        relay: &Relay,
        limits: &StreamLimits,
        management: &mut Management,
        output: &mut BytesMut,
    ) -> bool {
        // A peer that does not acknowledge delays only its own stanzas, and limits the number that is kept for it.
        let credit = relay.queue_bounds().bytes.saturating_sub(self.sent_bytes);
        if credit == 0 {
            self.in_flight.stalls(Instant::now());
            return false;
        }
        let managed = management.counts();
        let is_suspect = |sent: &Sent| sent.waiting.suspect;
        if managed && self.sent.front().is_some_and(is_suspect) {
            // Until they are confirmed, no other stanza is sent: if the peer closes the stream, they are the cause.
            return false;
        }
        let group = if managed { poison::group(self.cleared) } else { 1 };
        let before = self.sent.len();
        for offset in 0..self.carried.len() {
            let of = (self.next + offset) % self.carried.len();
            let Some(carried) = self.carried.get_mut(of).filter(|carried| !carried.leaving) else {
                continue;
            };
            carried.link.take(MAX_BATCH_BYTES, group, &mut self.batch);
            let suspect = self.batch.first().is_some_and(|waiting| waiting.suspect);
            let alone = self.sent.len() == before && !(managed && before > 0);
            if suspect && !alone {
                carried.link.put_back(&mut self.batch);
                self.next = of;
                break;
            }
            for waiting in self.batch.drain(..) {
                if limits.exceeded_by(waiting.stanza.len()).is_some() {
                    relay.too_large(&waiting.stanza, self.leg, limits);
                    continue;
                }
                let changed =
                    self.rescopes.then(|| rescope::to_component(&waiting.stanza)).flatten();
                let as_sent = changed.as_ref().unwrap_or(&waiting.stanza);
                output.extend_from_slice(as_sent);
                let written = as_sent.len();
                carried.recent = true;
                self.sent_bytes += waiting.stanza.len();
                if waiting.was_sent {
                    relay.recorder.metrics.stanzas_resent.inc(self.leg);
                }
                let due = self.pinned.add(&waiting.stanza);
                self.sent.push_back(Sent { of, waiting, written });
                for Sent { waiting, .. } in self.sent.iter_mut().rev().take(due) {
                    waiting.stanza = copied(&waiting.stanza);
                }
            }
            if suspect || output.len() >= MAX_BATCH_BYTES {
                self.next = of + 1;
                break;
            }
        }
        let count = self.sent.len() - before;
        self.managed = management.sending(u32::try_from(count).unwrap_or(u32::MAX));
        count > 0
    }

    /// The transport has accepted the whole output as this part of the connection. If the system does not report the
    /// bytes that the peer's TCP acknowledges (`None`), no further confirmation is possible.
    pub(crate) fn written(&mut self, span: Option<Span>, relay: &Relay) {
        let fresh = self.sent.len().saturating_sub(self.in_flight.stanzas());
        if self.managed || fresh == 0 {
            return;
        }
        match span {
            Some(span) => self.in_flight.written(fresh, span, Instant::now()),
            None => self.received(None, relay),
        }
    }

    /// Time of the next query for the bytes that the peer's TCP has acknowledged; `None` if none is needed.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        self.in_flight.ask_at()
    }

    /// The peer's TCP has acknowledged this many bytes of the connection; `None`: the system does not report it.
    pub(crate) fn received(&mut self, bytes: Option<u64>, relay: &Relay) {
        let stanzas = match bytes {
            Some(bytes) => self.in_flight.acknowledged(bytes, Instant::now()),
            None if self.managed => self.in_flight.clear(),
            None => {
                self.in_flight.clear();
                self.sent.len()
            }
        };
        self.confirm(stanzas, relay);
    }

    /// The peer's TCP will acknowledge no more than this many bytes, in TLS records of up to `record` bytes.
    pub(crate) fn received_at_last(&mut self, bytes: u64, record: u64, relay: &Relay) {
        let sizes = self.sent.iter().map(|sent| sent.written as u64);
        let stanzas = self.in_flight.partly_acknowledged(bytes, record, sizes);
        self.confirm(stanzas, relay);
    }

    /// TCP has not acknowledged all stanzas that depend on it.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.stanzas() > 0
    }

    /// The peer has accepted the oldest `count` stanzas since it began to acknowledge, and therefore all earlier ones.
    pub(crate) fn acknowledged(&mut self, count: u32, relay: &Relay) {
        let before = self.in_flight.clear();
        self.confirm(before.saturating_add(usize::try_from(count).unwrap_or(usize::MAX)), relay);
    }

    /// The stream is idle: releases memory that only a busy stream needs.
    pub(crate) fn shrink(&mut self) {
        self.batch.shrink_to_fit();
        self.sent.shrink_to_fit();
        self.in_flight.shrink();
        for carried in &self.carried {
            carried.link.shrink();
        }
    }

    /// The peer does not support acknowledgements after all.
    pub(crate) fn unmanaged(&mut self) {
        self.managed = false;
    }

    fn confirm(&mut self, count: usize, relay: &Relay) {
        let count = count.min(self.sent.len());
        if count == 0 {
            return;
        }
        for sent in self.sent.drain(..count) {
            self.sent_bytes -= sent.waiting.stanza.len();
            self.cleared += usize::from(sent.waiting.suspect);
            if let Some(carried) = self.carried.get_mut(sent.of) {
                carried.used = true;
            }
        }
        self.pinned.left(self.sent.len());
        if self.rescopes {
            self.release_leaving();
        }
        self.confirmed = self.confirmed.saturating_add(count as u64);
        relay.recorder.metrics.stanzas_relayed.inc_by(self.leg, count as u64);
        relay.recorder.metrics.stanzas_queued.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The stream has ended. Unconfirmed stanzas return to the front of their queue, in their order, and the next
    /// stream sends them again. The exception is a stanza on which the peer closed this stream and another one.
    /// `closed`: we closed it.
    pub(crate) fn release(
        mut self,
        relay: &Relay,
        failure: Option<&Failure>,
        closed: bool,
    ) -> Option<End> {
        let at_stanza = self.convict(relay, failure);
        for (of, carried) in self.carried.iter().enumerate() {
            let unsure = self.sent.iter().filter(|sent| sent.of == of);
            let again = |sent: &Sent| Waiting { was_sent: true, ..sent.waiting.clone() };
            self.batch.extend(unsure.map(again));
            carried.link.put_back(&mut self.batch);
        }
        let mut own = None;
        for Carried { end, used, .. } in self.carried {
            let reported = End { failure: failure.cloned(), useful: used || closed, at_stanza };
            match end {
                // The waiting task ended together with the relay.
                Some(end) => drop(end.send(reported)),
                None => own = Some(reported),
            }
        }
        own
    }

    /// Determines whether the peer closed the stream on a stanza, and refuses that stanza if it is known.
    fn convict(&mut self, relay: &Relay, failure: Option<&Failure>) -> bool {
        let Some(failure) = failure else { return false };
        let unconfirmed = self.sent.iter_mut().map(|sent| &mut sent.waiting);
        let verdict = poison::judge(failure, self.managed, unconfirmed);
        if verdict == Verdict::TheOldest
            && let Some(sent) = self.sent.pop_front()
        {
            let pair = self.carried.get(sent.of).map(|carried| &carried.link.pair);
            relay.not_accepted(&sent.waiting.stanza, self.leg, pair, failure);
        }
        verdict != Verdict::NotAtFault
    }
}

#[cfg(test)]
mod tests;
