//! Events that reach a stream from elsewhere in the engine.

use std::future::pending;

use tokio::sync::mpsc;

use crate::route::streams::Event;

/// Maximum events that wait at one stream; a sender of more waits before it.
const MAX_WAITING_EVENTS: usize = 8;

/// The events of one stream. The channel, which has over 1 kB, is allocated by the first sender: a stream without an
/// authenticated domain gets no events.
#[derive(Default)]
pub(super) struct Events(Option<(mpsc::Sender<Event>, mpsc::Receiver<Event>)>);

impl Events {
    /// For the senders.
    pub(super) fn sender(&mut self) -> &mpsc::Sender<Event> {
        &self.0.get_or_insert_with(|| mpsc::channel(MAX_WAITING_EVENTS)).0
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
