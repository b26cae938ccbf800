//! Counts held memory. A guard releases what it counted when it is dropped, so that nothing is counted forever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The sum of all accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total(Arc<AtomicUsize>);

impl Total {
    /// Bytes that are held now.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A holder that holds nothing yet.
    pub(crate) fn account(&self) -> Account {
        Account { total: self.clone(), counted: 0 }
    }
}

/// The memory of one holder. By default with a total of its own.
#[derive(Debug, Default)]
pub(crate) struct Account {
    total: Total,
    counted: usize,
}

impl Account {
    /// The holder holds this much now. Costs nothing when that has not changed.
    pub(crate) fn set(&mut self, bytes: usize) {
        let counted = std::mem::replace(&mut self.counted, bytes);
        if bytes > counted {
            self.total.0.fetch_add(bytes - counted, Ordering::Relaxed);
        } else if bytes < counted {
            self.total.0.fetch_sub(counted - bytes, Ordering::Relaxed);
        }
    }

    /// The memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.counted
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_what_living_accounts_hold() {
        let total = Total::default();
        let (mut one, mut other) = (total.account(), total.account());
        one.set(100);
        other.set(10);
        one.set(30);
        assert_eq!((total.bytes(), one.bytes()), (40, 30));
        drop(one);
        assert_eq!(total.bytes(), 10);
        drop(other);
        assert_eq!(total.bytes(), 0);
    }
}
