//! Addresses and ports of Services that the cluster has run out of. The API server then refuses the Services of all federations
//! in the same words, but for their names. One federation repeats its requests every few seconds, so that the end of the shortage is noticed soon.
//! The others wait for minutes, or until one of them gets its Service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use federation_engine::dial::backoff::Backoff;

use crate::federation::watched::FederationRef;

/// Pauses of a federation that waits.
const WAIT: Backoff = Backoff::new(Duration::from_mins(1), Duration::from_mins(5));
/// Time after which another federation takes the place of one that no longer repeats its requests.
const SILENCE: Duration = Duration::from_secs(30);
/// A pass takes no longer.
const LONGEST_PASS: Duration = Duration::from_mins(1);
/// Federations that are woken for each one that gets its Service. Their number grows with the addresses that are free, and stays
/// small if there is only one.
const WOKEN_AT_ONCE: usize = 16;

/// The shortages of the cluster.
#[derive(Debug)]
pub struct Shortages {
    all: Mutex<HashMap<String, Shortage>>,
    wake: mpsc::Sender<FederationRef>,
}

/// The federations that are refused in the same words.
#[derive(Debug, Default)]
struct Shortage {
    /// The one that repeats its requests, and when it did so last.
    trying: Option<(FederationRef, Instant)>,
    waiting: HashMap<FederationRef, Waiting>,
    /// When the last one of them got its Service.
    eased: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    pauses: Backoff,
}

impl Shortages {
    /// `wake` receives the federations that should repeat their requests.
    pub fn new(wake: mpsc::Sender<FederationRef>) -> Self {
        Self { all: Mutex::default(), wake }
    }

    /// Whether the federation should not repeat a refused request yet.
    pub fn defers(&self, federation: &FederationRef, now: Instant) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values()
            .filter_map(|shortage| shortage.waiting.get(federation))
            .any(|waiting| now < waiting.until)
    }

    /// Notes the result of a pass that began then: the words in which the API server refused a Service, if it did. `jitter` from
    /// 0 to 1 spreads federations that wait. Returns whether the federation waits.
    pub fn note(
        &self,
        federation: &FederationRef,
        words: Option<&str>,
        (begun, now): (Instant, Instant),
        jitter: f64,
    ) -> bool {
        let (waits, woken) = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            let mut woken = Vec::new();
            for (_, shortage) in all.iter_mut().filter(|(known, _)| Some(known.as_str()) != words) {
                woken.extend(shortage.served(federation, now));
            }
            let waits = words.is_some_and(|words| {
                let shortage = all.entry(words.to_owned()).or_default();
                shortage.refused(federation, (begun, now), jitter)
            });
            all.retain(|_, shortage| !shortage.is_over(now));
            (waits, woken)
        };
        self.wake(woken);
        waits
    }

    /// The federation is gone, and another one takes its place.
    pub fn forget(&self, federation: &FederationRef) {
        let mut woken = Vec::new();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for shortage in all.values_mut() {
            shortage.waiting.remove(federation);
            if shortage.is_tried_by(federation) {
                shortage.trying = None;
                woken.extend(shortage.next(1));
            }
        }
        all.retain(|_, shortage| !shortage.is_over(Instant::now()));
        drop(all);
        self.wake(woken);
    }

    /// The queue may be full, and a pass must not wait for it: the controller that reads it also runs the passes.
    fn wake(&self, federations: Vec<FederationRef>) {
        if federations.is_empty() {
            return;
        }
        let wake = self.wake.clone();
        tokio::spawn(async move {
            for federation in federations {
                if wake.send(federation).await.is_err() {
                    return;
                }
            }
        });
    }
}

impl Shortage {
    /// Nobody lacks anything, and no pass is left that began before the last one got its Service.
    fn is_over(&self, now: Instant) -> bool {
        let eased = |at: Instant| now.saturating_duration_since(at) < LONGEST_PASS;
        self.trying.is_none() && self.waiting.is_empty() && !self.eased.is_some_and(eased)
    }

    fn is_tried_by(&self, federation: &FederationRef) -> bool {
        self.trying.as_ref().is_some_and(|(trying, _)| trying == federation)
    }

    /// Some of those that wait, which need not wait any longer.
    fn next(&mut self, most: usize) -> Vec<FederationRef> {
        let next: Vec<_> = self.waiting.keys().take(most).cloned().collect();
        for federation in &next {
            self.waiting.remove(federation);
        }
        next
    }

    /// The API server has not refused this federation in these words. Returns those to wake.
    fn served(&mut self, federation: &FederationRef, now: Instant) -> Vec<FederationRef> {
        let was_trying = self.is_tried_by(federation);
        if was_trying {
            self.trying = None;
        }
        if self.waiting.remove(federation).is_none() && !was_trying {
            return Vec::new();
        }
        self.eased = Some(now);
        self.next(WOKEN_AT_ONCE)
    }

    /// Returns whether the federation waits.
    fn refused(
        &mut self,
        federation: &FederationRef,
        (begun, now): (Instant, Instant),
        jitter: f64,
    ) -> bool {
        let silent = |at: &Instant| now.saturating_duration_since(*at) >= SILENCE;
        let is_free =
            self.trying.as_ref().is_none_or(|(trying, at)| trying == federation || silent(at));
        if is_free {
            self.waiting.remove(federation);
            self.trying = Some((federation.clone(), now));
            return false;
        }
        // The request may be older than the address that has become free since.
        if self.eased.is_some_and(|eased| begun <= eased) {
            return false;
        }
        let waiting =
            self.waiting.entry(federation.clone()).or_insert(Waiting { until: now, pauses: WAIT });
        if waiting.until <= now {
            let pause = waiting.pauses.bound_after_failure();
            waiting.until = now + pause.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "failed to allocate a serviceIP for Service it: range is full";

    struct World {
        shortages: Shortages,
        woken: mpsc::Receiver<FederationRef>,
        begun: Instant,
    }

    impl World {
        fn new() -> Self {
            let (wake, woken) = mpsc::channel(8);
            Self { shortages: Shortages::new(wake), woken, begun: Instant::now() }
        }

        fn at(&self, second: u64) -> Instant {
            self.begun + Duration::from_secs(second)
        }

        /// A pass without duration. Returns whether the federation waits.
        fn pass(&self, name: usize, words: Option<&str>, second: u64) -> bool {
            let at = self.at(second);
            self.shortages.note(&federation(name), words, (at, at), 0.0)
        }

        fn refused(&self, name: usize, second: u64) -> bool {
            self.pass(name, Some(WORDS), second)
        }

        fn defers(&self, name: usize, second: u64) -> bool {
            self.shortages.defers(&federation(name), self.at(second))
        }

        async fn woken(&mut self, number: usize) -> Vec<FederationRef> {
            let mut all = Vec::new();
            for _ in 0..number {
                all.push(self.woken.recv().await.unwrap());
            }
            tokio::task::yield_now().await;
            assert!(self.woken.try_recv().is_err(), "more than {number} are woken");
            all
        }
    }

    fn federation(name: usize) -> FederationRef {
        FederationRef::new(&format!("fed{name}")).within("im")
    }

    #[tokio::test]
    async fn one_federation_repeats_its_request_and_the_others_wait_longer_and_longer() {
        let world = World::new();
        assert!(!world.refused(0, 0));
        assert!((1..4).all(|name| world.refused(name, 0)));
        assert!(!world.defers(0, 1), "this one goes on");
        assert!(!world.refused(0, 8));
        assert!(world.defers(1, 59) && !world.defers(1, 60));
        // A pass within the pause does not lengthen it.
        assert!(world.refused(1, 30) && !world.defers(1, 60));
        assert!(!world.refused(0, 60) && world.refused(1, 60));
        assert!(world.defers(1, 179) && !world.defers(1, 180));
    }

    #[tokio::test]
    async fn whoever_gets_an_address_wakes_the_next_ones() {
        let mut world = World::new();
        for name in 0..2 * WOKEN_AT_ONCE {
            world.refused(name, 0);
        }
        assert!(!world.pass(0, None, 8));
        let next = world.woken(WOKEN_AT_ONCE).await;
        assert!(next.iter().all(|next| !world.shortages.defers(next, world.at(8))));
        // Only one address was free: the first of them takes over, and nobody else is woken.
        let again: Vec<bool> = next
            .iter()
            .map(|next| world.shortages.note(next, Some(WORDS), (world.at(9), world.at(9)), 0.0))
            .collect();
        let (first, others) = again.split_first().unwrap();
        assert!(!first && others.iter().all(|waits| *waits));
        world.woken(0).await;
        // A federation that was never refused wakes nobody.
        assert!(!world.pass(99, None, 10));
        world.woken(0).await;
    }

    #[tokio::test]
    async fn a_refusal_that_is_older_than_a_free_address_does_not_make_wait() {
        let mut world = World::new();
        for name in 0..3 {
            world.refused(name, 0);
        }
        assert!(!world.pass(0, None, 8));
        world.woken(2).await;
        let late = |name: usize| {
            let times = (world.at(7), world.at(9));
            world.shortages.note(&federation(name), Some(WORDS), times, 0.0)
        };
        assert!(!late(1) && !late(2));
        assert!(world.refused(2, 10));
    }

    #[tokio::test]
    async fn another_one_takes_the_place_of_one_that_is_gone() {
        let mut world = World::new();
        for name in 0..2 {
            world.refused(name, 0);
        }
        world.shortages.forget(&federation(0));
        assert_eq!(world.woken(1).await, [federation(1)]);
        assert!(!world.refused(1, 1));
        // Or of one that no longer repeats its request, as one that does not need it any more.
        assert!(world.refused(2, 2));
        assert!(!world.refused(2, 31));
        // Nothing is kept when all are gone.
        for name in 1..3 {
            world.shortages.forget(&federation(name));
        }
        assert!(world.shortages.all.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn other_words_are_another_shortage() {
        let mut world = World::new();
        let ports = Some("failed to allocate a nodePort: range is full");
        assert!(!world.refused(0, 0) && world.refused(1, 0));
        assert!(!world.pass(0, ports, 8), "it has an address now, and lacks a port");
        assert_eq!(world.woken(1).await, [federation(1)]);
        assert!(world.pass(1, ports, 9));
    }
}
