//! Gauges with a variable set of series for each federation: one for each of its peers, or for each of its DNS records.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// A federation, by namespace and name.
type Owner = (String, String);

/// The gauge of one metric, with the series that each federation has.
#[derive(Debug)]
pub(super) struct Details<L> {
    family: Family<L, Gauge>,
    series: Arc<Mutex<BTreeMap<Owner, HashSet<L>>>>,
}

// Not derived: a clone shares the series, so the labels need not be `Clone` for it.
impl<L: Clone + Eq + Hash> Clone for Details<L> {
    fn clone(&self) -> Self {
        Self { family: self.family.clone(), series: Arc::clone(&self.series) }
    }
}

impl<L> Default for Details<L>
where
    L: Clone + Debug + EncodeLabelSet + Eq + Hash + Send + Sync + 'static,
{
    fn default() -> Self {
        Self { family: Family::default(), series: Arc::default() }
    }
}

impl<L> Details<L>
where
    L: Clone + Debug + EncodeLabelSet + Eq + Hash + Send + Sync + 'static,
{
    /// The metric, to be registered.
    pub(super) fn family(&self) -> Family<L, Gauge> {
        self.family.clone()
    }

    /// Sets the series of a federation; `None` keeps the value that a series has. Removes the series that the federation
    /// no longer has.
    pub(super) fn replace(&self, owner: Owner, now: Vec<(L, Option<bool>)>) {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(&owner).unwrap_or_default();
        let mut present = HashSet::with_capacity(now.len());
        for (labels, good) in now {
            match good {
                Some(good) => {
                    self.family.get_or_create(&labels).set(i64::from(good));
                }
                None if !before.contains(&labels) => continue,
                None => {}
            }
            present.insert(labels);
        }
        for gone in before.difference(&present) {
            self.family.remove(gone);
        }
        if !present.is_empty() {
            all.insert(owner, present);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
    struct Peer {
        peer: &'static str,
    }

    #[test]
    fn a_federation_has_the_series_of_its_last_report_only() {
        let details = Details::<Peer>::default();
        let owner = || ("im".to_owned(), "example".to_owned());
        let other = || ("im".to_owned(), "other".to_owned());
        let value = |peer| details.family().get(&Peer { peer }).map(|gauge| gauge.get());
        let (a, b, c) = (Peer { peer: "a" }, Peer { peer: "b" }, Peer { peer: "c" });
        details.replace(owner(), vec![(a.clone(), Some(true)), (b.clone(), Some(false))]);
        details.replace(other(), vec![(c, Some(true))]);
        assert_eq!([value("a"), value("b"), value("c")], [Some(1), Some(0), Some(1)]);
        details.replace(owner(), vec![(a, None), (b.clone(), None)]);
        assert_eq!([value("a"), value("b"), value("c")], [Some(1), Some(0), Some(1)]);
        details.replace(owner(), vec![(b, Some(true))]);
        assert_eq!([value("a"), value("b"), value("c")], [None, Some(1), Some(1)]);
        details.replace(owner(), vec![(Peer { peer: "a" }, None), (Peer { peer: "b" }, None)]);
        assert_eq!([value("a"), value("b"), value("c")], [None, Some(1), Some(1)]);
        details.replace(owner(), vec![]);
        assert_eq!([value("a"), value("b"), value("c")], [None, None, Some(1)]);
    }
}
