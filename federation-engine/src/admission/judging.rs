//! Turns for verifying certificate chains. A verification takes milliseconds of a processor, which the threads that
//! serve streams cannot spare, and an unknown server decides how many are needed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::source::Prefix;

/// Chains verified at once.
const MAX_JUDGED_AT_ONCE: usize = 2;
/// Chains of one source prefix verified at once: its other streams wait in their own queue and take no place from
/// others.
const MAX_JUDGED_AT_ONCE_PER_SOURCE: usize = 1;
/// Sources remembered before those without a waiting stream are removed.
const MAX_SOURCES: usize = 1024;

/// The queues.
pub(crate) struct Judging {
    all: Arc<Semaphore>,
    sources: Mutex<HashMap<Prefix, Arc<Semaphore>>>,
}

/// A place; dropping it makes room.
pub(crate) struct Turn {
    _of_source: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Judging {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_JUDGED_AT_ONCE)), sources: Mutex::default() }
    }
}

impl Judging {
    /// Waits until a chain of this source may be verified: first among the streams of the source, then among the
    /// sources, each in the order of arrival.
    pub(crate) async fn turn(&self, source: IpAddr) -> Option<Turn> {
        // Neither is ever closed.
        let of_source = self.line(source).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _of_source: of_source, _of_all: of_all })
    }

    fn line(&self, source: IpAddr) -> Arc<Semaphore> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MAX_SOURCES {
            sources.retain(|_, line| Arc::strong_count(line) > 1);
        }
        let new = || Arc::new(Semaphore::new(MAX_JUDGED_AT_ONCE_PER_SOURCE));
        Arc::clone(sources.entry(Prefix::from(source)).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_source_with_many_chains_leaves_room_for_others() {
        let judging = Judging::default();
        let turn = |source: &str| judging.turn(source.parse().unwrap());
        let first = turn("198.18.1.1").now_or_never().flatten().unwrap();
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(turn("198.18.1.2"))).collect();
        for turn in &mut waiting {
            assert!(turn.now_or_never().is_none(), "one at once");
        }
        let other = turn("198.18.2.1").now_or_never().flatten();
        assert!(other.is_some(), "another source does not wait behind them");
        drop((first, other));
        assert!(waiting.remove(0).now_or_never().flatten().is_some(), "the next one");
    }
}
