//! Events that reach a stream from elsewhere in the engine.

use std::future::pending;

use s2s_proto::dialback::Verification;
use s2s_proto::pair::Pair;
use s2s_proto::stream::StreamId;
use tokio::sync::mpsc;

use crate::task::streams::Request;

/// Maximum events that wait at one stream; a sender of more waits before it.
const WAITING: usize = 8;

/// One event.
pub(crate) enum Event {
    /// The authoritative server's answer about a pair, and the stream ID that was verified.
    Verdict(Box<(Pair, StreamId, Verification)>),
    /// A link wants to use the stream.
    Carry(Request),
    /// The stream must make room.
    Shed,
    /// Another stream of the same peer needs the place of one that is idle.
    CloseIfIdle,
}

/// The events of one stream. The channel, which has over 1 kB, is allocated by the first sender: a stream without an
/// authenticated domain gets no events.
#[derive(Default)]
pub(super) struct Events(Option<(mpsc::Sender<Event>, mpsc::Receiver<Event>)>);

impl Events {
    /// For the senders.
    pub(super) fn sender(&mut self) -> &mpsc::Sender<Event> {
        &self.0.get_or_insert_with(|| mpsc::channel(WAITING)).0
    }

    /// Waits for the next one; none after [`Self::close`]. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        match &mut self.0 {
            Some((_, events)) => events.recv().await,
            None => pending().await,
        }
    }

    /// No task can send any more, and what was sent is dropped.
    pub(super) fn close(&mut self) {
        if let Some((_, events)) = &mut self.0 {
            events.close();
            while events.try_recv().is_ok() {}
        }
    }
}
