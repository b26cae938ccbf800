//! Unauthenticated connections: how many of them one source may have at once, and the queue for the others. Each leg
//! has places of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admission::holders::Holding;
use crate::admission::places::{Arrival, Limits, Moves, Places};
use crate::admission::reserve::{Reserve, Reserved};
use crate::source::Prefix;

/// Maximum unauthenticated connections of the whole process. The last ones are reserved for sources that have none.
const MAX_UNAUTHENTICATED: usize = 2_048;
const RESERVED_UNAUTHENTICATED: usize = MAX_UNAUTHENTICATED / 8;

/// Connections of one source on the inner leg. A backend opens a stream for each remote domain, all from one address, and all at
/// once after a restart.
pub(crate) const MAX_UNAUTHENTICATED_INNER: usize = 512;

/// Connections of one trusted proxy that have not sent the header of the PROXY protocol. A proxy sends it at once, and
/// all peers come from its address. The oldest connection makes room for the newest.
pub(crate) const MAX_WITHOUT_HEADER: usize = MAX_UNAUTHENTICATED;

/// Connections of a source that may wait in the queue, for each connection that it may have. A hoster that reconnects
/// all of its domains at once is served one connection after the other. A waiting connection costs a descriptor and
/// little memory.
const LINE_PER_PLACE: usize = 4;
/// Maximum connections that wait in all queues.
const MAX_IN_LINE: usize = 2_048;
/// Interval at which a waiting connection checks whether others have been silent for too long.
const LINE_INTERVAL: Duration = Duration::from_millis(500);

/// Unauthenticated connections of one leg.
#[derive(Clone, Default)]
pub(crate) struct Newcomers(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    places: Places,
    /// How each connection is notified to continue or to close.
    tokens: HashMap<u64, Tokens>,
    /// The limit that applied at the last arrival.
    per_source: usize,
}

#[derive(Clone, Default)]
struct Tokens {
    called: CancellationToken,
    evicted: CancellationToken,
}

/// A connection that was admitted.
pub(crate) struct Admitted {
    /// Its place until it is authenticated.
    pub(crate) newcomer: Newcomer,
    /// The resources that it holds until it closes.
    pub(crate) holding: Holding,
}

/// The place of a connection until it is authenticated, or its place in the queue before that. Dropping it makes room.
pub(crate) struct Newcomer {
    newcomers: Newcomers,
    number: u64,
    prefix: Prefix,
    tokens: Tokens,
    /// Its place among those that were admitted while memory was exhausted.
    reserved: Option<Reserved>,
}

impl Waiting {
    fn limits(&self) -> Limits {
        Limits {
            per_source: self.per_source,
            total: MAX_UNAUTHENTICATED.max(self.per_source),
            reserved: RESERVED_UNAUTHENTICATED,
            line: self.per_source.saturating_mul(LINE_PER_PLACE),
            all_lines: MAX_IN_LINE,
        }
    }

    fn tell(&mut self, moves: &Moves) {
        for number in &moves.evicted {
            if let Some(tokens) = self.tokens.remove(number) {
                tokens.evicted.cancel();
            }
        }
        for tokens in moves.called.iter().filter_map(|number| self.tokens.get(number)) {
            tokens.called.cancel();
        }
    }
}

impl Newcomers {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection. One source prefix may have at most `per_source` of them at once; others wait in the queue.
    pub(crate) fn admit(&self, source: IpAddr, per_source: usize) -> Option<Newcomer> {
        let prefix = Prefix::from(source);
        let mut waiting = self.waiting();
        waiting.per_source = per_source;
        let limits = waiting.limits();
        let tokens = Tokens::default();
        let (number, moves) = match waiting.places.arrive(prefix, &limits, Instant::now()) {
            Arrival::Admitted { number, moves } => {
                tokens.called.cancel();
                (number, moves)
            }
            Arrival::Waits { number, moves } => (number, moves),
            Arrival::Refused => return None,
        };
        waiting.tokens.insert(number, tokens.clone());
        waiting.tell(&moves);
        drop(waiting);
        Some(Newcomer { newcomers: self.clone(), number, prefix, tokens, reserved: None })
    }
}

impl Newcomer {
    /// Whether the connection has a place, instead of waiting in the queue.
    pub(crate) fn has_place(&self) -> bool {
        self.tokens.called.is_cancelled()
    }

    /// It was admitted although memory is exhausted.
    pub(crate) fn reserve(&mut self, reserve: &Reserve) {
        self.reserved = Some(reserve.enter(self.prefix, self.eviction()));
    }

    /// Waits in the queue until the connection has a place. Cancel-safe.
    pub(crate) async fn turn(&self) {
        while !self.tokens.called.is_cancelled() {
            if timeout(LINE_INTERVAL, self.tokens.called.cancelled()).await.is_err() {
                let mut waiting = self.newcomers.waiting();
                let limits = waiting.limits();
                let moves = waiting.places.advance(self.prefix, &limits, Instant::now());
                waiting.tell(&moves);
            }
        }
    }

    /// Closes the connection when it is cancelled.
    pub(crate) fn eviction(&self) -> CancellationToken {
        self.tokens.evicted.clone()
    }

    /// The connection has opened a stream and keeps its place.
    pub(crate) fn heard(&self) {
        self.newcomers.waiting().places.heard(self.number, self.prefix);
    }

    /// Waits until the connection must make room. Cancel-safe.
    pub(crate) async fn evicted(&self) {
        self.tokens.evicted.cancelled().await;
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut waiting = self.newcomers.waiting();
        // An evicted connection no longer has a place.
        if waiting.tokens.remove(&self.number).is_some() {
            let limits = waiting.limits();
            let moves = waiting.places.leave(self.number, self.prefix, &limits, Instant::now());
            waiting.tell(&moves);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_waits_is_called_once_and_gives_its_place_on() {
        let newcomers = Newcomers::default();
        let admit = || newcomers.admit("198.18.1.1".parse().unwrap(), 1);
        let first = admit().unwrap();
        first.turn().await;
        first.heard();
        let waiting: Vec<_> = (0..4).map(|_| admit().unwrap()).collect();
        assert!(admit().is_none(), "the line is full");
        for newcomer in &waiting {
            assert!(newcomer.turn().now_or_never().is_none());
        }
        drop(first);
        let mut waiting = waiting.into_iter();
        let second = waiting.next().unwrap();
        second.turn().await;
        let third = waiting.next().unwrap();
        assert!(third.turn().now_or_never().is_none());
        drop(waiting);
        drop(second);
        third.turn().await;
        drop(third);
        assert!(newcomers.waiting().tokens.is_empty());
    }

    #[tokio::test]
    async fn a_backend_that_opens_hundreds_of_streams_at_once_gets_a_place_for_each() {
        let newcomers = Newcomers::default();
        let backend = "10.0.0.1".parse().unwrap();
        let admit = |_| newcomers.admit(backend, MAX_UNAUTHENTICATED_INNER).unwrap();
        let streams: Vec<_> = (0..MAX_UNAUTHENTICATED_INNER).map(admit).collect();
        assert!(streams.iter().all(|stream| stream.turn().now_or_never().is_some()));
        // The others wait for one that is authenticated.
        let further: Vec<_> = (0..MAX_UNAUTHENTICATED_INNER).map(admit).collect();
        drop(streams);
        assert!(further.iter().all(|stream| stream.turn().now_or_never().is_some()));
    }

    #[tokio::test]
    async fn the_oldest_silent_connection_ends_once_when_the_line_is_full() {
        let newcomers = Newcomers::default();
        let admit = || newcomers.admit("198.18.1.1".parse().unwrap(), 1).unwrap();
        let silent = admit();
        let waiting: Vec<_> = (0..4).map(|_| admit()).collect();
        let newest = admit();
        silent.evicted().await;
        waiting[0].turn().await;
        drop(silent);
        assert!(waiting[1].turn().now_or_never().is_none(), "the place was given away once");
        drop((waiting, newest));
    }
}
