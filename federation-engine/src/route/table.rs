//! All links, by pair.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use s2s_proto::pair::Pair;

use super::link::Link;
use crate::budget::account::Total;
use crate::leg::Leg;

/// Maximum links kept before idle ones are removed. Names of remote domains come from outside, so their number must not
/// determine the memory.
const MAX_LINKS_BEFORE_CLEANUP: usize = 4096;

/// The links of the engine.
#[derive(Default)]
pub(crate) struct Table {
    links: Mutex<HashMap<Pair, Arc<Link>>>,
    /// The memory of the queues.
    total: Total,
}

impl Table {
    /// No links yet; their queues are counted in `total`.
    pub(crate) fn counted(total: &Total) -> Self {
        Self { total: total.clone(), ..Self::default() }
    }

    /// The links with queued stanzas, and the memory that those hold.
    pub(crate) fn queues(&self) -> Vec<(Arc<Link>, usize)> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let held = links.values().map(|link| (Arc::clone(link), link.held()));
        held.filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// The link of a pair, made on first use.
    pub(crate) fn link(&self, pair: &Pair, leg: Leg) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(pair)
            && link.leg == leg
        {
            return Arc::clone(link);
        }
        if links.len() >= MAX_LINKS_BEFORE_CLEANUP {
            let now = Instant::now();
            links.retain(|_, link| Arc::strong_count(link) > 1 || !link.is_idle(now));
        }
        let link = Arc::new(Link::new(pair.clone(), leg, &self.total));
        links.insert(pair.clone(), Arc::clone(&link));
        link
    }

    /// Lets the link of a pair, if there is one, retry at once.
    pub(crate) fn hurry(&self, pair: &Pair) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(pair) {
            link.hurry();
        }
    }

    /// There was activity of the receiver of this pair.
    pub(crate) fn peer_is_back(&self, pair: &Pair) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(pair) {
            link.peer_is_back(Instant::now());
        }
    }

    /// Every link.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.values().cloned().collect()
    }

    /// Lets every link retry at once.
    pub(crate) fn forgive(&self) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.values().for_each(|link| link.forgive());
    }
}
