//! Connections that are admitted although memory is exhausted: a few, so that a new server is served as soon as others
//! have made room. For a further one, another one closes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::source::Prefix;

/// Maximum connections of the reserve. Together, they hold about half a megabyte.
const MAX_RESERVED: usize = 32;

#[derive(Default)]
struct Entries {
    /// The oldest has the lowest number.
    by_number: BTreeMap<u64, (Prefix, CancellationToken)>,
    next: u64,
}

impl Entries {
    /// The oldest connection of the source that has the most.
    fn least_useful(&self) -> Option<u64> {
        let mut sources: HashMap<Prefix, usize> = HashMap::new();
        for (prefix, _) in self.by_number.values() {
            *sources.entry(*prefix).or_default() += 1;
        }
        let most = sources.values().copied().max()?;
        let of_it = |prefix: &Prefix| sources.get(prefix) == Some(&most);
        self.by_number.iter().find(|(_, (prefix, _))| of_it(prefix)).map(|(number, _)| *number)
    }
}

/// The reserve.
#[derive(Clone, Default)]
pub(crate) struct Reserve(Arc<Mutex<Entries>>);

/// A place in the reserve; dropping it releases the place.
pub(crate) struct Reserved {
    reserve: Reserve,
    number: u64,
}

impl Reserve {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection. If the reserve is full, the oldest connection of the source that has the most closes.
    pub(crate) fn enter(&self, prefix: Prefix, evicted: CancellationToken) -> Reserved {
        let mut entries = self.entries();
        if entries.by_number.len() >= MAX_RESERVED
            && let Some(least) = entries.least_useful()
            && let Some((_, token)) = entries.by_number.remove(&least)
        {
            token.cancel();
        }
        let number = entries.next;
        entries.next = entries.next.wrapping_add(1);
        entries.by_number.insert(number, (prefix, evicted));
        drop(entries);
        Reserved { reserve: self.clone(), number }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.reserve.entries().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn enter(reserve: &Reserve, third: u8) -> (Reserved, CancellationToken) {
        let token = CancellationToken::new();
        (reserve.enter(Prefix::from(IpAddr::from([198, 18, third, 1])), token.clone()), token)
    }

    #[test]
    fn there_is_a_place_for_the_next_one_and_the_source_with_the_most_makes_room() {
        let reserve = Reserve::default();
        let (reserved, other) = enter(&reserve, 2);
        let many: Vec<_> = (0..MAX_RESERVED * 3).map(|_| enter(&reserve, 1)).collect();
        assert!(!other.is_cancelled(), "the only one of its source");
        assert_eq!(
            many.iter().filter(|(_, token)| !token.is_cancelled()).count(),
            MAX_RESERVED - 1
        );
        assert!(!many.last().unwrap().1.is_cancelled(), "the oldest makes room");
        assert_eq!(reserve.entries().by_number.len(), MAX_RESERVED);
        drop((many, reserved));
        assert!(reserve.entries().by_number.is_empty());
    }
}
