//! Open streams that may carry stanzas of more pairs than the one they were opened for: back to the peer that opened
//! them (XEP-0288), or for other local or remote domains (XEP-0220 §2.6).

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s2s_proto::dialback::KeyVerdict;
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

/// The end of a stream, as seen by a link that it carried.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The failure that broke the stream; `None`: it was closed in order.
    pub(crate) failure: Option<Failure>,
    /// The stream accepted stanzas of the link, or we closed it.
    pub(crate) useful: bool,
    /// The peer closed the stream on a stanza, of any link.
    pub(crate) at_stanza: bool,
}

/// A request to a stream to carry a link.
pub(crate) struct Request {
    pub(crate) link: Arc<Link>,
    /// Dropped if the stream refuses. Otherwise it returns the notification of the stream's end.
    pub(crate) answer: oneshot::Sender<oneshot::Receiver<End>>,
}

/// An event that another part of the engine sends to a stream.
pub(crate) enum Event {
    /// The authoritative server's answer about a pair, and the stream ID that was verified.
    Verdict(Box<(Pair, StreamId, KeyVerdict)>),
    /// A link wants to use the stream.
    Carry(Request),
    /// Another component of the backend has this domain now.
    Moved(Domain),
    /// Another component wants the domain of this stream.
    Contested,
    /// The stream must make room.
    Shed,
    /// Another stream of the same peer needs the place of one that is idle.
    CloseIfIdle,
}

/// The remote end of a stream.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Far {
    /// An authenticated domain, or the one to which we connected.
    Domain(Domain),
    /// A component of the backend of this name, for domains that have no stream of their own.
    Backend(String),
    /// The target to which we connected. It may serve other domains as well. Equal host and port mean equal addresses.
    Target(Place),
}

type Key = (Leg, Far);

#[derive(Default)]
struct Open {
    by_end: HashMap<Key, Vec<(u64, mpsc::Sender<Event>)>>,
    next: u64,
}

/// The streams, by their remote end.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Open>>);

impl Streams {
    fn open(&self) -> MutexGuard<'_, Open> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests each stream to that end to carry a link, the newest first.
    pub(crate) async fn adopt(&self, far: Far, link: &Arc<Link>) -> Option<oneshot::Receiver<End>> {
        let streams: Vec<_> = {
            let open = self.open();
            let streams = open.by_end.get(&(link.leg, far))?;
            streams.iter().rev().map(|(_, requests)| requests.clone()).collect()
        };
        for requests in streams {
            let (answer, carried) = oneshot::channel();
            let request = Request { link: Arc::clone(link), answer };
            // A stream that closes in between refuses by dropping the request.
            if requests.send(Event::Carry(request)).await.is_ok()
                && let Ok(end) = carried.await
            {
                return Some(end);
            }
        }
        None
    }
}

impl Streams {
    /// Notifies the streams to that end that the domain has a stream of its own.
    pub(crate) fn announce(&self, leg: Leg, far: &Far, domain: &Domain) {
        let open = self.open();
        let streams = open.by_end.get(&(leg, far.clone())).into_iter().flatten();
        for (_, events) in streams {
            // A stream whose events all wait is busy, and keeps its links until it ends.
            let _ = events.try_send(Event::Moved(domain.clone()));
        }
    }
}

/// Keeps a stream registered while it is open.
pub(crate) struct Registration {
    streams: Streams,
    key: Key,
    id: u64,
}

impl Registration {
    /// Registers a stream.
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

    /// Whether the stream is registered for this end.
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
