//! Notifies when one of a set of files has changed.
//!
//! Directories are watched, not files: Kubernetes swaps the symbolic link `..data` beside the files of a volume, and
//! editors rename a new file over the old one, so the inode of a path is never permanent. The content behind the paths
//! before and after an event shows whether the event is a change. This also makes reading the files harmless.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use s2s_proto::clock;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A writer is assumed to be done after this time without an event.
const QUIET_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum delay of the notification while a directory is busy.
const MAX_QUIET_WAIT: Duration = Duration::from_secs(2);
/// Interval at which the files are checked without any event: watches can be lost, or be refused if there are too many.
const RECHECK_INTERVAL: Duration = Duration::from_mins(1);

/// Watches a set of files.
///
/// The order that loses no change: [`Self::set`] the files, read them, then [`Self::changed`].
#[derive(Debug)]
pub struct FileWatch {
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Option<Fingerprint>>,
    stirred: Arc<Notify>,
}

/// The file to which a path leads, and its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Fingerprint {
    /// `None` when there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl Default for FileWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl FileWatch {
    /// Watches no files yet. If the system has no watches left, changes are noticed once a minute.
    pub fn new() -> Self {
        let stirred = Arc::new(Notify::new());
        let stir = Arc::clone(&stirred);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error reports that events were lost, which is an event as well.
            if event.map_or(true, |event| matters(event.kind)) {
                stir.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "cannot watch files for changes; checking them once a minute"))
            .ok();
        Self { watcher, directories: BTreeSet::new(), files: BTreeMap::new(), stirred }
    }

    /// Sets the files to watch. Files that are already watched keep the state that [`Self::changed`] saw last.
    pub fn set<P: Into<PathBuf>>(&mut self, files: impl IntoIterator<Item = P>) {
        let mut known = std::mem::take(&mut self.files);
        self.files = files
            .into_iter()
            .map(|path| {
                let path = path.into();
                let seen = known.remove(&path).unwrap_or_else(|| Fingerprint::of(&path));
                (path, seen)
            })
            .collect();
        self.watch_directories();
    }

    /// Waits until at least one of the files differs from what it was when this returned last, or was set. A burst of
    /// changes is one. Cancel safe.
    pub async fn changed(&mut self) {
        loop {
            if self.look() {
                return;
            }
            let stirred = Arc::clone(&self.stirred);
            tokio::select! {
                () = stirred.notified() => {
                    let deadline = clock::after(Instant::now(), MAX_QUIET_WAIT);
                    while let Ok(Ok(())) = timeout_at(deadline, timeout(QUIET_INTERVAL, stirred.notified())).await {}
                }
                () = sleep(RECHECK_INTERVAL) => {}
            }
        }
    }

    /// Compares the files and remembers their state.
    fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.files {
            let now = Fingerprint::of(path);
            changed |= *seen != now;
            *seen = now;
        }
        // The event may have replaced a directory by another one of the same name.
        self.watch_directories();
        changed
    }

    fn watch_directories(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> =
            self.files.keys().flat_map(|path| directories(path)).collect();
        for gone in self.directories.difference(&wanted) {
            // Fails when the directory itself is gone, together with its watch.
            let _ = watcher.unwatch(gone);
        }
        for directory in &wanted {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive)
                && !self.directories.contains(directory)
            {
                let directory = directory.display();
                tracing::warn!(%directory, %error, "cannot watch the directory for changes; checking its files once a minute");
            }
        }
        self.directories = wanted;
    }
}

/// The directories in which a change can mean that the path leads elsewhere: the one it stands in (or its nearest
/// ancestor, while it does not exist), and the one it leads to.
fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let own = absolute.ancestors().skip(1).find(|directory| directory.is_dir()).map(Path::to_owned);
    let target = fs::canonicalize(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    own.into_iter().chain(target)
}

/// Reading is no change; the engine itself reads.
fn matters(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
