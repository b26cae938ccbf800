//! The accounts of all flows, shared by both ends of each.

use std::sync::{Mutex, PoisonError};

use super::flow::Flow;
use super::ledger::{Account, Fault, Totals};

/// Maximum number of faults that are reported in full; further ones are only counted.
const MAX_REPORTED: usize = 50;

/// All accounts.
#[derive(Debug)]
pub(crate) struct Books {
    accounts: Vec<Mutex<Account>>,
    faults: Mutex<Faults>,
}

/// The detected violations.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Number of violations.
    pub count: u64,
    /// The first ones.
    pub reported: Vec<String>,
}

impl Books {
    /// Creates an account for each flow.
    pub(crate) fn new(flows: &[Flow]) -> Self {
        Self {
            accounts: flows.iter().map(|_| Mutex::default()).collect(),
            faults: Mutex::default(),
        }
    }

    /// Reads or writes the account of a flow. Does nothing if there is no such flow.
    pub(crate) fn with<T: Default>(&self, flow: usize, work: impl FnOnce(&mut Account) -> T) -> T {
        let Some(account) = self.accounts.get(flow) else { return T::default() };
        work(&mut account.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records the violation that the account of a flow reports.
    pub(crate) fn check(&self, flow: usize, result: Result<(), Fault>) {
        if let Err(fault) = result {
            self.fault(format!("flow {flow}: {fault}"));
        }
    }

    /// Records a violation.
    pub(crate) fn fault(&self, text: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.count += 1;
        if faults.reported.len() < MAX_REPORTED {
            faults.reported.push(text);
        }
    }

    /// The recorded violations.
    pub(crate) fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For each flow, the number of stanzas without an outcome.
    pub(crate) fn open(&self) -> Vec<usize> {
        (0..self.accounts.len()).map(|flow| self.with(flow, |account| account.open())).collect()
    }

    /// Closes all accounts at a quiet moment. `no_room`: number of errors without room that the engine reports since
    /// the last one.
    pub(crate) fn close(&self, mut no_room: u64) {
        for flow in 0..self.accounts.len() {
            for fault in self.with(flow, |account| account.close(&mut no_room)) {
                self.check(flow, Err(fault));
            }
        }
    }

    /// Sums over all flows.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for flow in 0..self.accounts.len() {
            self.with(flow, |account| totals.add(account.totals()));
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::flows;
    use crate::ledger::Expected;

    #[test]
    fn missing_stanzas_of_all_flows_become_faults_with_their_flow() {
        let books = Books::new(&flows(2));
        for flow in 0..4 {
            books.with(flow, |account| account.send(Expected::Either));
        }
        books.check(1, books.with(1, |account| account.arrived(0).err()).map_or(Ok(()), Err));
        assert_eq!(books.open(), [1, 0, 1, 1]);
        books.close(0);
        let faults = books.faults();
        assert_eq!(faults.count, 3);
        assert_eq!(faults.reported[1], "flow 2: 0 was neither delivered nor bounced");
        assert!(!books.totals().balance());
    }
}
