//! How full the budget is, for code that must know at every stanza or connection: two atomics, no lock.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Budget;
use super::account::Total;

/// The held resources, and the bounds that follow from the budget. Without a budget there are none.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Counted bytes.
    pub(crate) total: Total,
    /// Bytes held beyond those, at the last check.
    uncounted: AtomicUsize,
    tight: AtomicUsize,
    exhausted: AtomicUsize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            total: Total::default(),
            uncounted: AtomicUsize::new(0),
            tight: AtomicUsize::new(usize::MAX),
            exhausted: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Ledger {
    /// Puts a budget into effect.
    pub(crate) fn set(&self, budget: Budget, uncounted: usize) {
        self.uncounted.store(uncounted, Ordering::Relaxed);
        self.tight.store(budget.tight(), Ordering::Relaxed);
        self.exhausted.store(budget.exhausted(), Ordering::Relaxed);
    }

    fn exceeds(&self, bound: &AtomicUsize) -> bool {
        let used = self.total.bytes().saturating_add(self.uncounted.load(Ordering::Relaxed));
        used > bound.load(Ordering::Relaxed)
    }

    /// Queues must be kept short.
    pub(crate) fn is_tight(&self) -> bool {
        self.exceeds(&self.tight)
    }

    /// Nothing may be read, and no connection admitted.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exceeds(&self.exhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_and_what_is_not_count_together() {
        let ledger = Ledger::default();
        let mut account = ledger.total.account();
        account.set(usize::MAX / 2);
        assert!(!ledger.is_tight() && !ledger.is_exhausted(), "no budget");
        ledger.set(Budget { bytes: 1_000, connections: 1 }, 500);
        account.set(100);
        assert!(!ledger.is_tight());
        account.set(101);
        assert!(ledger.is_tight() && !ledger.is_exhausted());
        account.set(451);
        assert!(ledger.is_exhausted());
        drop(account);
        assert!(!ledger.is_tight());
    }
}
