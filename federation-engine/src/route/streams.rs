//! Open streams that may carry stanzas of more pairs than the one they were opened for: back to the peer that opened them
//! (XEP-0288), or for other domains here and there (XEP-0220 §2.6).

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s2s_proto::dialback::Verification;
use s2s_proto::pair::Pair;
use s2s_proto::plan::Host;
use s2s_proto::reason::Failure;
use s2s_proto::stream::StreamId;
use tokio::sync::{mpsc, oneshot};

use crate::Domain;
use crate::leg::Leg;
use crate::route::link::Link;

/// A host and a port, as DNS or the configuration names them.
pub(crate) type Place = (Host, NonZeroU16);

/// How a stream ended, as far as a link that it carried is concerned.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// What broke it; `None`: it was closed in order.
    pub(crate) failure: Option<Failure>,
    /// It took stanzas of the link, or it was we who closed it.
    pub(crate) useful: bool,
    /// The peer ended it at a stanza, of whatever link.
    pub(crate) at_stanza: bool,
}

/// Asks a stream to carry a link.
pub(crate) struct Request {
    pub(crate) link: Arc<Link>,
    /// Dropped when the stream does not; otherwise what tells the end of the stream.
    pub(crate) answer: oneshot::Sender<oneshot::Receiver<End>>,
}

/// What comes to a stream from elsewhere in the engine.
pub(crate) enum Event {
    /// What an authoritative server said about a pair, and the stream ID that the question was about.
    Verdict(Box<(Pair, StreamId, Verification)>),
    /// A link wants to use the stream.
    Carry(Request),
    /// The stream has to make room.
    Shed,
    /// Another stream of the same peer needs the place of one that is idle.
    CloseIfIdle,
}

/// What is at the other end.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Far {
    /// A proven domain, or the one that we dialled.
    Domain(Domain),
    /// Where we dialled it; other domains may be there, too. Equal host and port are equal addresses.
    Target(Place),
}

type Key = (Leg, Far);

#[derive(Default)]
struct Open {
    by_end: HashMap<Key, Vec<(u64, mpsc::Sender<Event>)>>,
    next: u64,
}

/// The streams, by what is at their other end.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Open>>);

impl Streams {
    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the streams to that end to carry a link, the newest first.
    pub(crate) async fn adopt(&self, far: Far, link: &Arc<Link>) -> Option<oneshot::Receiver<End>> {
        let streams: Vec<_> = {
            let open = self.open();
            let streams = open.by_end.get(&(link.leg, far))?;
            streams.iter().rev().map(|(_, requests)| requests.clone()).collect()
        };
        for requests in streams {
            let (answer, carried) = oneshot::channel();
            let request = Request { link: Arc::clone(link), answer };
            // A stream that ends in between says no by dropping the request.
            if requests.send(Event::Carry(request)).await.is_ok()
                && let Ok(end) = carried.await
            {
                return Some(end);
            }
        }
        None
    }
}

/// Keeps a stream known for as long as it lives.
pub(crate) struct Registration {
    streams: Streams,
    key: Key,
    id: u64,
}

impl Registration {
    /// Makes a stream known.
    pub(crate) fn new(
        streams: &Streams,
        leg: Leg,
        far: Far,
        requests: mpsc::Sender<Event>,
    ) -> Self {
        let key = (leg, far);
        let mut open = streams.open();
        open.next += 1;
        let id = open.next;
        open.by_end.entry(key.clone()).or_default().push((id, requests));
        Self { streams: streams.clone(), key, id }
    }

    /// Whether it is known by this end.
    pub(crate) fn is_of(&self, far: &Far) -> bool {
        self.key.1 == *far
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        if let Some(streams) = open.by_end.get_mut(&self.key) {
            streams.retain(|(id, _)| *id != self.id);
            if streams.is_empty() {
                open.by_end.remove(&self.key);
            }
        }
    }
}
