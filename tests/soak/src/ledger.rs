//! The account of one flow: the outcomes of each of its numbered stanzas. Pure.
//!
//! The *outcomes* of a stanza are its arrivals and its returns as an error. It has at least one outcome, and at most as
//! many as the number of times it was handed over. Its sender hands it over once, and once more for each necessary
//! repetition. One more counts each time an outcome was on a stream that broke before the engine could detect its
//! delivery.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// The permitted outcomes of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It arrives, or comes back as an error.
    Either,
    /// It never arrives, and comes back with this condition.
    Error(&'static str),
    /// It arrives, or is dropped: an error is never answered (RFC 6120 §8.3.1).
    NoAnswer,
}

/// Reasons why a stanza may have no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// The stanza needs no answer, and did not arrive.
    Silent,
    /// The queue of the stanza was full, and that of its error as well. The engine counts such errors, and the numbers
    /// must agree.
    NoRoom,
    /// The stanza was on a stream without acknowledgements that was reset: the receiver's TCP had the stanza or its
    /// error.
    WithStream,
    /// The engine had accepted it before it was requested to shut down.
    AtEnd,
    /// The stanza was written to an engine whose shutdown was requested, on a stream without acknowledgements. The
    /// engine may not have read it.
    NotTaken,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "errors and results dropped without an answer",
            Self::NoRoom => {
                "refused because the queue was full, and the error was dropped for the same reason"
            }
            Self::WithStream => "lost on a reset stream without acknowledgements",
            Self::AtEnd => "accepted by an engine that was shutting down, and lost",
            Self::NotTaken => "written to an engine that was shutting down, perhaps not read",
        })
    }
}

/// A violation of the conservation rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A number that no sender has used.
    #[error("{number} was delivered or bounced but never sent, or was already settled")]
    Unknown {
        /// The stanza.
        number: u64,
    },
    /// A violation of the order per pair (RFC 6120 §10.1).
    #[error("{number} was delivered out of order, after {after}")]
    Order {
        /// The stanza.
        number: u64,
        /// The highest number that had arrived.
        after: u64,
    },
    /// A second outcome without a reason.
    #[error("{number} has {outcomes} outcomes; expected {due}")]
    Repeated {
        /// The stanza.
        number: u64,
        /// Arrivals and errors.
        outcomes: u32,
        /// Number of times that it was handed over.
        due: u32,
    },
    /// A stanza was delivered that must be refused.
    #[error("{number} was delivered; expected the refusal {condition}")]
    NotRefused {
        /// The stanza.
        number: u64,
        /// The expected error.
        condition: &'static str,
    },
    /// A stanza returned with the wrong error.
    #[error("{number} bounced with {seen}; expected {condition}")]
    Condition {
        /// The stanza.
        number: u64,
        /// The expected error.
        condition: &'static str,
        /// The received error.
        seen: String,
    },
    /// An error was answered.
    #[error("{number} is an error or a result, but was answered with {seen}")]
    Answered {
        /// The stanza.
        number: u64,
        /// The received error.
        seen: String,
    },
    /// A stanza has no outcome, and no event explains it.
    #[error("{number} was neither delivered nor bounced")]
    Missing {
        /// The stanza.
        number: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    expected: Expected,
    /// Number of times that it was handed over.
    due: u32,
    arrivals: u32,
    errors: u32,
    /// It was repeated, and its first arrival followed this number.
    behind: Option<u64>,
    /// The engine acknowledged it.
    taken: bool,
    risk: Risk,
}

/// Events that may have lost a stanza or its error.
#[derive(Debug, Clone, Copy, Default)]
struct Risk {
    /// A stream that may have carried the stanza was reset.
    with_stream: bool,
    /// A stream that may have carried its error was reset.
    with_answers: bool,
    /// The engine that may have accepted it shut down.
    at_end: bool,
}

impl Entry {
    fn new(expected: Expected) -> Self {
        let risk = Risk::default();
        Self { expected, due: 1, arrivals: 0, errors: 0, behind: None, taken: false, risk }
    }

    fn outcomes(&self) -> u32 {
        self.arrivals + self.errors
    }

    /// It came back. Or it would have come back, but it needs no answer or the stream for its answer was reset.
    fn may_have_been_refused(&self) -> bool {
        self.errors > 0 || self.risk.with_answers || self.expected == Expected::NoAnswer
    }

    fn explanation(&self) -> Option<Loss> {
        if self.expected == Expected::NoAnswer {
            Some(Loss::Silent)
        } else if self.risk.with_stream || self.risk.with_answers {
            // A later shutdown of the engine is not the cause.
            Some(Loss::WithStream)
        } else if self.risk.at_end {
            Some(if self.taken { Loss::AtEnd } else { Loss::NotTaken })
        } else {
            None
        }
    }
}

/// Sums over closed accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of stanzas.
    pub sent: u64,
    /// Number of repetitions by senders.
    pub repeated: u64,
    /// Stanzas that arrived.
    pub delivered: u64,
    /// Stanzas whose only outcomes are errors, by condition.
    pub refused: BTreeMap<String, u64>,
    /// Number of outcomes beyond the first; a resend was due for each.
    pub duplicates: u64,
    /// Stanzas without an outcome, by reason.
    pub lost: BTreeMap<Loss, u64>,
}

impl Totals {
    /// Adds the sums of another flow.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.repeated += other.repeated;
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        for (condition, count) in &other.refused {
            *self.refused.entry(condition.clone()).or_default() += count;
        }
        for (loss, count) in &other.lost {
            *self.lost.entry(*loss).or_default() += count;
        }
    }

    /// Number of stanzas without an outcome for this reason.
    pub fn lost(&self, loss: Loss) -> u64 {
        self.lost.get(&loss).copied().unwrap_or_default()
    }

    /// Number of stanzas that came back.
    pub fn bounced(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Whether every stanza is accounted for.
    pub fn balance(&self) -> bool {
        self.sent == self.delivered + self.bounced() + self.lost.values().sum::<u64>()
    }
}

/// The account of one flow.
#[derive(Debug, Default)]
pub struct Account {
    /// Number of the first entry; all lower numbers are closed.
    base: u64,
    entries: VecDeque<Entry>,
    /// The condition of the first error of each stanza that came back.
    conditions: BTreeMap<u64, String>,
    /// The highest number that has arrived.
    last: Option<u64>,
    /// A stream was reset, and the end of the resulting gap is not known yet.
    gap_open: bool,
    /// For the stanzas that were closed last: the number of further outcomes that are still due. A broken stream may
    /// bring them late.
    late: BTreeMap<u64, u32>,
    totals: Totals,
}

impl Account {
    /// Records a new stanza that is written, and returns its number.
    pub fn send(&mut self, expected: Expected) -> u64 {
        self.entries.push_back(Entry::new(expected));
        self.totals.sent += 1;
        self.next_number() - 1
    }

    /// The number of the next new stanza.
    pub fn next_number(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// The sender writes a stanza again, because its stream broke without an acknowledgement. Another engine may
    /// receive it now.
    pub fn repeat(&mut self, number: u64) {
        self.totals.repeated += 1;
        if let Some(entry) = self.entry(number) {
            entry.due += 1;
            entry.risk.at_end = false;
        }
    }

    /// The engine has acknowledged the numbers from `from` up to, but not including, `to`.
    pub fn taken(&mut self, from: u64, to: u64) {
        for number in from..to {
            if let Some(entry) = self.entry(number) {
                entry.taken = true;
            }
        }
    }

    /// A stanza has arrived.
    pub fn arrived(&mut self, number: u64) -> Result<(), Fault> {
        if self.is_late(number) {
            return Ok(());
        }
        let last = self.last;
        let entry = self.entry(number).ok_or(Fault::Unknown { number })?;
        if let Expected::Error(condition) = entry.expected {
            return Err(Fault::NotRefused { number, condition });
        }
        let first = entry.arrivals == 0;
        entry.arrivals += 1;
        Self::check(number, entry)?;
        if !first {
            return Ok(());
        }
        if let Some(after) = last.filter(|after| *after > number) {
            if entry.due > 1 {
                // This is no fault if the engine refused it the first time.
                entry.behind = Some(after);
                return Ok(());
            }
            return Err(Fault::Order { number, after });
        }
        self.last = Some(number);
        if self.gap_open {
            // Later stanzas were not on the stream that was reset.
            self.gap_open = false;
            let behind = number + 1 - self.base;
            let behind = usize::try_from(behind).unwrap_or(usize::MAX);
            for entry in self.entries.iter_mut().skip(behind) {
                entry.risk.with_stream = false;
            }
        }
        Ok(())
    }

    /// A stanza has come back as an error.
    pub fn came_back(&mut self, number: u64, seen: &str) -> Result<(), Fault> {
        if self.is_late(number) {
            return Ok(());
        }
        let entry = self.entry(number).ok_or(Fault::Unknown { number })?;
        match entry.expected {
            Expected::Error(condition) if condition != seen => {
                return Err(Fault::Condition { number, condition, seen: seen.to_owned() });
            }
            Expected::NoAnswer => return Err(Fault::Answered { number, seen: seen.to_owned() }),
            _ => {}
        }
        entry.errors += 1;
        Self::check(number, entry)?;
        self.conditions.entry(number).or_insert_with(|| seen.to_owned());
        Ok(())
    }

    /// Counts a further outcome of a closed stanza, if one was due.
    fn is_late(&mut self, number: u64) -> bool {
        let due = self.late.get_mut(&number).filter(|due| **due > 0);
        if let Some(due) = due {
            *due -= 1;
            self.totals.duplicates += 1;
            return true;
        }
        false
    }

    fn check(number: u64, entry: &Entry) -> Result<(), Fault> {
        let (outcomes, due) = (entry.outcomes(), entry.due);
        if outcomes > due { Err(Fault::Repeated { number, outcomes, due }) } else { Ok(()) }
    }

    /// An outcome was on a stream that broke before the engine could detect its delivery. It may be repeated.
    pub fn unconfirmed(&mut self, number: u64) {
        if let Some(entry) = self.entry(number) {
            entry.due += 1;
        }
    }

    /// A stream without acknowledgements that brought the flow's stanzas was reset.
    pub fn was_reset(&mut self) {
        self.gap_open = true;
        let was_on_it = |entry: &&mut Entry| {
            entry.outcomes() == 0 && !matches!(entry.expected, Expected::Error(_))
        };
        for entry in self.entries.iter_mut().filter(was_on_it) {
            entry.risk.with_stream = true;
        }
    }

    /// A stream without acknowledgements that brought the flow's errors back was reset.
    pub fn answers_were_reset(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.outcomes() == 0) {
            entry.risk.with_answers = true;
        }
    }

    /// A shutdown was requested of the engine that may have accepted all numbers from `from` on.
    pub fn ended(&mut self, from: u64) {
        let behind = usize::try_from(from.saturating_sub(self.base)).unwrap_or(usize::MAX);
        for entry in self.entries.iter_mut().skip(behind).filter(|entry| entry.outcomes() == 0) {
            entry.risk.at_end = true;
        }
    }

    /// Whether that stanza or a later one has arrived, so that all earlier ones have left their queue.
    pub fn has_passed(&self, number: u64) -> bool {
        self.last.is_some_and(|last| last >= number)
    }

    /// Number of stanzas without an outcome or an explanation.
    pub fn open(&self) -> usize {
        let is_open = |entry: &&Entry| entry.outcomes() == 0 && entry.explanation().is_none();
        self.entries.iter().filter(is_open).count()
    }

    /// Closes the account at a quiet moment: every stanza has an outcome or an explanation, or is a fault. `no_room`:
    /// number of errors without room that the engine reports, for this account and others.
    pub fn close(&mut self, no_room: &mut u64) -> Vec<Fault> {
        let mut faults = Vec::new();
        let base = self.next_number();
        self.late.clear();
        for (number, entry) in (self.base..).zip(self.entries.drain(..)) {
            self.totals.duplicates += u64::from(entry.outcomes().saturating_sub(1));
            if entry.outcomes() > 0 && entry.due > entry.outcomes() {
                self.late.insert(number, entry.due - entry.outcomes());
            }
            if let Some(after) = entry.behind.filter(|_| !entry.may_have_been_refused()) {
                faults.push(Fault::Order { number, after });
            }
            if entry.arrivals > 0 {
                self.totals.delivered += 1;
            } else if entry.errors > 0 {
                let condition = self.conditions.remove(&number).unwrap_or_default();
                *self.totals.refused.entry(condition).or_default() += 1;
            } else if let Some(loss) = entry.explanation()
                && (*no_room == 0 || entry.risk.with_stream || loss != Loss::WithStream)
            {
                *self.totals.lost.entry(loss).or_default() += 1;
            } else if let Some(less) = no_room.checked_sub(1) {
                *no_room = less;
                let loss = Loss::NoRoom;
                *self.totals.lost.entry(loss).or_default() += 1;
            } else {
                faults.push(Fault::Missing { number });
            }
        }
        self.conditions.clear();
        self.base = base;
        self.gap_open = false;
        faults
    }

    /// Sums over all closed stanzas; stanzas that are not closed yet are missing.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let place = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.entries.get_mut(place)
    }
}
