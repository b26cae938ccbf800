//! How many things one source may keep open at once: streams that are not authenticated, verifications that it causes.

mod places;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::source::Prefix;
use places::{Arrival, Limits, Places};

/// Counts per source prefix.
#[derive(Clone, Default)]
pub(crate) struct Admission(Arc<Mutex<HashMap<Prefix, usize>>>);

/// One admitted thing; dropping it makes room.
pub(crate) struct Permit {
    admission: Admission,
    prefix: Prefix,
}

impl Admission {
    /// Admits one more of `source`, unless it has `limit` already.
    pub(crate) fn admit(&self, source: IpAddr, limit: usize) -> Option<Permit> {
        let prefix = Prefix::from(source);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(prefix).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Permit { admission: self.clone(), prefix })
    }
}

#[cfg(test)]
impl Admission {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.prefix) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.prefix);
            }
        }
    }
}

/// Connections that are not authenticated, of the whole process; the last are for sources that have none.
const MAX_UNAUTHENTICATED: usize = 2_048;
const RESERVED_UNAUTHENTICATED: usize = MAX_UNAUTHENTICATED / 8;

/// Connections of the outer leg that are not authenticated.
#[derive(Clone, Default)]
pub(crate) struct Newcomers(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    places: Places,
    /// How each of them is told to end.
    evictions: HashMap<u64, CancellationToken>,
}

/// A connection's place until it is authenticated; dropping it makes room.
pub(crate) struct Newcomer {
    /// `None`: a backend, which is not counted.
    place: Option<Place>,
}

struct Place {
    newcomers: Newcomers,
    number: u64,
    prefix: Prefix,
    evicted: CancellationToken,
}

impl Newcomers {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection, at most `per_source` of one source prefix. The oldest that has not opened a stream makes room.
    pub(crate) fn admit(&self, source: IpAddr, per_source: usize) -> Option<Newcomer> {
        let prefix = Prefix::from(source);
        let limits = Limits {
            per_source,
            total: MAX_UNAUTHENTICATED.max(per_source),
            reserved: RESERVED_UNAUTHENTICATED,
        };
        let mut waiting = self.waiting();
        let Arrival::Admitted { number, evicted } = waiting.places.arrive(prefix, &limits) else {
            return None;
        };
        if let Some(oldest) = evicted.and_then(|evicted| waiting.evictions.remove(&evicted)) {
            oldest.cancel();
        }
        let evicted = CancellationToken::new();
        waiting.evictions.insert(number, evicted.clone());
        drop(waiting);
        Some(Newcomer { place: Some(Place { newcomers: self.clone(), number, prefix, evicted }) })
    }
}

impl Newcomer {
    /// A backend opens a stream for each remote domain, all from one address.
    pub(crate) fn of_backend() -> Self {
        Self { place: None }
    }

    /// The connection has opened a stream, and keeps its place.
    pub(crate) fn heard(&self) {
        if let Some(place) = &self.place {
            place.newcomers.waiting().places.heard(place.number, place.prefix);
        }
    }

    /// Waits until the connection has to make room. Cancel-safe.
    pub(crate) async fn evicted(&self) {
        match &self.place {
            Some(place) => place.evicted.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.newcomers.waiting();
        // One that was evicted has no place any more.
        if waiting.evictions.remove(&self.number).is_some() {
            waiting.places.leave(self.number, self.prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_prefix_and_forgets_what_ended() {
        let admission = Admission::default();
        let first = admission.admit("198.18.1.1".parse().unwrap(), 2).unwrap();
        let _second = admission.admit("198.18.1.250".parse().unwrap(), 2).unwrap();
        assert!(
            admission.admit("::ffff:198.18.1.9".parse().unwrap(), 2).is_none(),
            "the same /24, mapped"
        );
        assert!(admission.admit("198.18.2.1".parse().unwrap(), 2).is_some());
        drop(first);
        assert!(admission.admit("198.18.1.7".parse().unwrap(), 2).is_some());
        assert_eq!(admission.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_newcomer_ends_the_oldest_silent_connection_once() {
        let newcomers = Newcomers::default();
        let source = "198.18.1.1".parse().unwrap();
        let oldest = newcomers.admit(source, 2).unwrap();
        let talker = newcomers.admit(source, 2).unwrap();
        talker.heard();
        let newest = newcomers.admit(source, 2).unwrap();
        oldest.evicted().await;
        drop(oldest);
        newest.heard();
        assert!(newcomers.admit(source, 2).is_none(), "the place was given away once");
        drop(talker);
        assert!(newcomers.admit(source, 2).is_some());
    }
}
