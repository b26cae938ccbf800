//! The state in force: the configuration, the files that it names, and the limits that follow from it.

pub(crate) mod limits;
pub(crate) mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use self::snapshot::Snapshot;

/// The snapshot in force, and the number of its replacements.
pub(crate) struct InForce {
    snapshot: ArcSwap<Snapshot>,
    /// Read for every stanza.
    revision: AtomicU64,
    changes: watch::Sender<u64>,
}

impl InForce {
    /// Puts the first snapshot into force.
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            revision: AtomicU64::new(1),
            changes: watch::Sender::new(1),
        }
    }

    /// The configuration and materials in effect.
    pub(crate) fn load(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The configuration and materials in effect, to hold across await points.
    pub(crate) fn load_owned(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts another snapshot into force, and returns its revision.
    pub(crate) fn replace(&self, snapshot: Snapshot) -> u64 {
        self.snapshot.store(Arc::new(snapshot));
        let revision = self.revision.fetch_add(1, Ordering::AcqRel) + 1;
        self.changes.send_replace(revision);
        revision
    }

    /// Changes with every [`Self::replace`].
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Notifies of every [`Self::replace`].
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
