//! Gathers evidence from the network outside of the reconcile. One task for each federation repeats the gathering at the
//! interval that the last reconcile chose, and at once when what is wanted changes. A reconcile takes the last result and
//! never waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::federation::watched::FederationRef;
use crate::turns::Turns;

/// One kind of evidence.
pub trait Gather: Send + Sync + 'static {
    /// What is looked for.
    type Wanted: Clone + PartialEq + Send + Sync + 'static;
    /// What is found.
    type Found: Clone + Send + Sync + 'static;

    /// Gathers once. Must end by itself.
    fn gather(&self, wanted: Self::Wanted) -> impl Future<Output = Self::Found> + Send;

    /// Whether two results differ only in their time.
    fn same(one: &Self::Found, other: &Self::Found) -> bool;
}

/// The tasks of all federations.
pub struct Background<G: Gather> {
    gather: Arc<G>,
    turns: Arc<Turns>,
    wake: mpsc::Sender<FederationRef>,
    tasks: Mutex<HashMap<FederationRef, Task<G>>>,
}

impl<G: Gather> std::fmt::Debug for Background<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

/// What to gather, and how often.
struct Order<W> {
    wanted: W,
    every: Duration,
}

struct Task<G: Gather> {
    order: watch::Sender<Order<G::Wanted>>,
    latest: watch::Receiver<Option<G::Found>>,
    running: AbortHandle,
}

impl<G: Gather> Drop for Task<G> {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl<G: Gather> Background<G> {
    /// At most `at_once` federations are served at the same time; `wake` receives the federation that has new evidence.
    pub fn new(gather: G, at_once: usize, wake: mpsc::Sender<FederationRef>) -> Self {
        let turns = Arc::new(Turns::new(at_once));
        Self { gather: Arc::new(gather), turns, wake, tasks: Mutex::default() }
    }

    /// Gathers this from now on, and returns the last result; `None` if there is none yet. The result may be about what was
    /// wanted before.
    pub fn observe(
        &self,
        federation: &FederationRef,
        wanted: G::Wanted,
        every: Duration,
    ) -> Option<G::Found> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(federation).filter(|task| !task.running.is_finished()) {
            task.order.send_if_modified(|order| {
                let modified = order.every != every || order.wanted != wanted;
                *order = Order { wanted, every };
                modified
            });
            return task.latest.borrow().clone();
        }
        let (order, orders) = watch::channel(Order { wanted, every });
        let (found, latest) = watch::channel(None);
        let work = repeat(
            Arc::clone(&self.gather),
            Arc::clone(&self.turns),
            self.wake.clone(),
            federation.clone(),
            orders,
            found,
        );
        let running = tokio::spawn(work).abort_handle();
        tasks.insert(federation.clone(), Task { order, latest, running });
        None
    }

    /// The last result, without ordering another one.
    pub fn last(&self, federation: &FederationRef) -> Option<G::Found> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.get(federation).and_then(|task| task.latest.borrow().clone())
    }

    /// Stops gathering for a federation.
    pub fn forget(&self, federation: &FederationRef) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(federation);
    }
}

async fn repeat<G: Gather>(
    gather: Arc<G>,
    turns: Arc<Turns>,
    wake: mpsc::Sender<FederationRef>,
    federation: FederationRef,
    mut orders: watch::Receiver<Order<G::Wanted>>,
    latest: watch::Sender<Option<G::Found>>,
) {
    let namespace = federation.namespace.clone().unwrap_or_default();
    loop {
        let Some(turn) = turns.take(&namespace).await else { return };
        let wanted = orders.borrow_and_update().wanted.clone();
        let found = gather.gather(wanted.clone()).await;
        drop(turn);
        let news = !latest.borrow().as_ref().is_some_and(|known| G::same(known, &found));
        latest.send_replace(Some(found));
        if news && wake.send(federation.clone()).await.is_err() {
            return;
        }
        let done = Instant::now();
        loop {
            let due = {
                let order = orders.borrow_and_update();
                if order.wanted != wanted {
                    break;
                }
                done + order.every
            };
            tokio::select! {
                () = tokio::time::sleep_until(due) => break,
                changed = orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Takes ten seconds for each round, and finds what is wanted.
    #[derive(Default)]
    struct Slow {
        running: AtomicUsize,
        most: AtomicUsize,
    }

    impl Gather for Arc<Slow> {
        type Wanted = String;
        type Found = String;

        async fn gather(&self, wanted: String) -> String {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(10)).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            wanted
        }

        fn same(one: &String, other: &String) -> bool {
            one == other
        }
    }

    fn federation(namespace: &str, name: &str) -> FederationRef {
        FederationRef::new(name).within(namespace)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_evidence_and_new_evidence_wakes() {
        let (wake, mut woken) = mpsc::channel(8);
        let background = Background::new(Arc::new(Slow::default()), 4, wake);
        let one = federation("im", "one");
        let look =
            |wanted: &str| background.observe(&one, wanted.to_owned(), Duration::from_secs(5));
        assert_eq!(look("a"), None);
        assert_eq!(woken.recv().await.unwrap(), one);
        assert_eq!(look("a").as_deref(), Some("a"));
        assert_eq!(look("b").as_deref(), Some("a"), "the last result, until there is a new one");
        assert_eq!(woken.recv().await.unwrap(), one);
        assert_eq!(look("b").as_deref(), Some("b"));
        // The same result again is no news.
        assert!(tokio::time::timeout(Duration::from_mins(2), woken.recv()).await.is_err());
        background.forget(&one);
        assert_eq!(look("b"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_federations_of_one_namespace_do_not_delay_another_one() {
        let (wake, mut woken) = mpsc::channel(64);
        let slow = Arc::new(Slow::default());
        let background = Background::new(Arc::clone(&slow), 8, wake);
        let begun = Instant::now();
        for index in 0..40 {
            let federation = federation("busy", &index.to_string());
            background.observe(&federation, index.to_string(), Duration::ZERO);
        }
        let other = federation("other", "other");
        background.observe(&other, "x".to_owned(), Duration::from_mins(1));
        while woken.recv().await.unwrap() != other {}
        assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
        assert!(slow.most.load(Ordering::SeqCst) <= 3);
    }
}
