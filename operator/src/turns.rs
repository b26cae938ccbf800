//! Fair turns by namespace: at most so many tasks at once, and only a share of them from one namespace, so that the
//! federations of one namespace never delay those of others for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Namespaces after which unused ones are dropped from the list.
const MAX_IDLE_NAMESPACES: usize = 256;

/// Gives turns.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    namespaces: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A turn; dropping it ends it.
#[derive(Debug)]
pub struct Turn {
    _namespace: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    /// At most `all` turns at once, and at most a quarter of them for one namespace.
    pub fn new(all: usize) -> Self {
        let all = all.max(1);
        Self {
            all: Arc::new(Semaphore::new(all)),
            each: all.div_ceil(4),
            namespaces: Mutex::default(),
        }
    }

    /// Waits for a turn; turns of a namespace come in the order of the requests.
    pub async fn take(&self, namespace: &str) -> Option<Turn> {
        let own = self.of(namespace).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _namespace: own, _all: all })
    }

    /// A turn, if there is one now.
    pub fn try_take(&self, namespace: &str) -> Option<Turn> {
        let own = self.of(namespace).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Turn { _namespace: own, _all: all })
    }

    fn of(&self, namespace: &str) -> Arc<Semaphore> {
        let mut known = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_IDLE_NAMESPACES {
            known.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own = known
            .entry(namespace.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        Arc::clone(own)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_namespace_has_only_a_share_of_the_turns() {
        let turns = Turns::new(8);
        let busy: Vec<Turn> = std::iter::from_fn(|| turns.try_take("busy")).collect();
        assert_eq!(busy.len(), 2);
        assert!(turns.take("busy").now_or_never().is_none());
        let other = turns.take("other").now_or_never().flatten();
        assert!(other.is_some(), "another namespace does not wait");
        drop(busy);
        assert!(turns.try_take("busy").is_some());
    }

    #[tokio::test]
    async fn all_namespaces_share_the_limit() {
        let turns = Turns::new(4);
        let held: Vec<Turn> =
            ["a", "b", "c", "d"].iter().filter_map(|name| turns.try_take(name)).collect();
        assert_eq!(held.len(), 4);
        assert!(turns.try_take("e").is_none());
    }
}
