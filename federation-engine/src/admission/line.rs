//! Turns for dialback verifications: a maximum at once for each source prefix. The others wait in a bounded queue, in
//! which every domain has its turn: a domain that requests many does not block the others of its server.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::Domain;
use crate::source::Prefix;

/// Verifications of one source that wait.
const MAX_WAITING_PER_SOURCE: usize = 1_024;

#[derive(Default)]
struct Source {
    running: usize,
    waiting: usize,
    /// Domains for which something waits, in the order of their turns.
    turns: VecDeque<Domain>,
    by_domain: HashMap<Domain, VecDeque<oneshot::Sender<Permit>>>,
}

impl Source {
    fn forget_those_that_gave_up(&mut self) {
        let by_domain = &mut self.by_domain;
        by_domain.retain(|_, waiting| {
            waiting.retain(|sender| !sender.is_closed());
            !waiting.is_empty()
        });
        self.turns.retain(|domain| by_domain.contains_key(domain));
        self.waiting = by_domain.values().map(VecDeque::len).sum();
    }
}

/// The queues of all sources.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<Mutex<HashMap<Prefix, Source>>>);

/// A verification that may run; dropping it lets the next one run.
#[derive(Debug)]
pub(crate) struct Permit {
    line: Line,
    /// None once it was released.
    source: Option<Prefix>,
}

/// A place in the queue.
pub(crate) enum Ticket {
    /// At the head.
    Now(Permit),
    /// After others.
    Later(oneshot::Receiver<Permit>),
}

impl Ticket {
    /// Waits for the turn. None: the engine is shutting down. Cancel-safe.
    pub(crate) async fn turn(self) -> Option<Permit> {
        match self {
            Self::Now(permit) => Some(permit),
            Self::Later(permit) => permit.await.ok(),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    fn sources(&self) -> MutexGuard<'_, HashMap<Prefix, Source>> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the queue for a verification of that domain; `at_once` of the source may run. None: the queue is full.
    pub(crate) fn join(&self, source: IpAddr, domain: &Domain, at_once: usize) -> Option<Ticket> {
        let prefix = Prefix::from(source);
        let mut sources = self.sources();
        let source = sources.entry(prefix).or_default();
        if source.running < at_once {
            source.running += 1;
            return Some(Ticket::Now(Permit { line: self.clone(), source: Some(prefix) }));
        }
        if source.waiting >= MAX_WAITING_PER_SOURCE {
            source.forget_those_that_gave_up();
        }
        if source.waiting >= MAX_WAITING_PER_SOURCE {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let waiting = source.by_domain.entry(domain.clone()).or_default();
        if waiting.is_empty() {
            source.turns.push_back(domain.clone());
        }
        waiting.push_back(sender);
        source.waiting += 1;
        Some(Ticket::Later(receiver))
    }

    /// The next verification when one of that source has finished; counts it as finished if none waits.
    fn next(&self, prefix: Prefix) -> Option<oneshot::Sender<Permit>> {
        let mut sources = self.sources();
        let source = sources.get_mut(&prefix)?;
        if let Some(domain) = source.turns.pop_front()
            && let Some(waiting) = source.by_domain.get_mut(&domain)
        {
            let next = waiting.pop_front();
            if waiting.is_empty() {
                source.by_domain.remove(&domain);
            } else {
                source.turns.push_back(domain);
            }
            source.waiting = source.waiting.saturating_sub(1);
            return next;
        }
        source.running = source.running.saturating_sub(1);
        if source.running == 0 {
            sources.remove(&prefix);
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(prefix) = self.source.take() else { return };
        while let Some(next) = self.line.next(prefix) {
            let permit = Self { line: self.line.clone(), source: Some(prefix) };
            match next.send(permit) {
                Ok(()) => return,
                // It no longer waits, and the next one gets the place.
                Err(mut unused) => unused.source = None,
            }
        }
    }
}

#[cfg(test)]
impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.sources().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn join(line: &Line, source: &str, domain: &str) -> Option<Ticket> {
        line.join(source.parse().unwrap(), &Domain::parse(domain).unwrap(), 1)
    }

    fn now(ticket: Option<Ticket>) -> Permit {
        ticket.unwrap().turn().now_or_never().flatten().unwrap()
    }

    #[tokio::test]
    async fn domains_of_one_server_have_their_turns_whatever_one_of_them_asks_for() {
        let line = Line::default();
        let running = now(join(&line, "198.18.1.1", "a.example"));
        let mut many: Vec<_> =
            (0..3).map(|_| join(&line, "198.18.1.2", "a.example").unwrap()).collect();
        let other = join(&line, "198.18.1.3", "b.example").unwrap();
        let elsewhere = now(join(&line, "198.18.2.1", "a.example"));
        drop(running);
        let first = many.remove(0).turn().await.unwrap();
        drop(first);
        let second = other.turn().await.unwrap();
        drop(second);
        let third = many.remove(0).turn().await.unwrap();
        drop((third, many, elsewhere));
        assert!(line.is_empty());
    }

    #[tokio::test]
    async fn those_that_give_up_hold_nobody_up() {
        let line = Line::default();
        let running = now(join(&line, "198.18.1.1", "a.example"));
        let gone = join(&line, "198.18.1.1", "a.example").unwrap();
        let called = join(&line, "198.18.1.1", "b.example").unwrap();
        let last = join(&line, "198.18.1.1", "c.example").unwrap();
        drop(gone);
        drop(running);
        // Called, and cancelled before it noticed.
        drop(called);
        last.turn().await.unwrap();
        assert!(line.is_empty());
    }

    #[test]
    fn the_line_is_bounded() {
        let line = Line::default();
        let _running = now(join(&line, "198.18.1.1", "a.example"));
        let joined = (0..).map_while(|_| join(&line, "198.18.1.1", "a.example")).take(5_000);
        assert_eq!(joined.collect::<Vec<_>>().len(), MAX_WAITING_PER_SOURCE);
        assert!(join(&line, "198.18.2.1", "a.example").is_some());
        assert!(join(&line, "198.18.1.1", "a.example").is_some(), "all others gave up");
    }
}
