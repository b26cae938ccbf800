//! Messages between two people in both directions, at a steady pace, with an account of each: it has arrived, or its error
//! has come back.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::client::{Client, Event};
use crate::error::Result;
use crate::wait::{Seen, Wait};

/// Interval of the messages in each direction.
const INTERVAL: Duration = Duration::from_millis(50);
/// Maximum time until each message has an outcome after the last one was sent.
const OUTCOMES: Duration = Duration::from_mins(1);

/// What became of one message: how often it arrived, and how often its error came back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Number of times that its recipient got it.
    pub arrived: usize,
    /// The defined conditions of the errors that its sender got.
    pub returned: Vec<String>,
}

impl Outcome {
    fn count(&self) -> usize {
        self.arrived + self.returned.len()
    }
}

/// The messages of one direction, by id.
#[derive(Debug, Default)]
pub struct Account {
    messages: BTreeMap<String, Outcome>,
}

impl Account {
    fn sent(&mut self, id: String) {
        self.messages.insert(id, Outcome::default());
    }

    /// Events of the recipient and of the sender.
    fn note(&mut self, recipient: &[Event], sender: &[Event]) {
        for event in recipient {
            if let Event::Message { id, .. } = event
                && let Some(outcome) = self.messages.get_mut(id)
            {
                outcome.arrived += 1;
            }
        }
        for event in sender {
            if let Event::Error { id, condition, .. } = event
                && let Some(outcome) = self.messages.get_mut(id)
            {
                outcome.returned.push(condition.clone());
            }
        }
    }

    /// Number of messages that were sent.
    pub fn total(&self) -> usize {
        self.messages.len()
    }

    /// Number of messages that have arrived.
    pub fn arrived(&self) -> usize {
        self.messages.values().filter(|outcome| outcome.arrived > 0).count()
    }

    /// The messages without an outcome, and those with more than one.
    pub fn unbalanced(&self) -> Vec<(&str, &Outcome)> {
        let odd = self.messages.iter().filter(|(_, outcome)| outcome.count() != 1);
        odd.map(|(id, outcome)| (id.as_str(), outcome)).collect()
    }

    fn is_complete(&self) -> bool {
        self.messages.values().all(|outcome| outcome.count() > 0)
    }

    /// The totals, and the errors by condition.
    pub fn summary(&self) -> String {
        let mut errors = BTreeMap::<&str, usize>::new();
        for condition in self.messages.values().flat_map(|outcome| &outcome.returned) {
            *errors.entry(condition).or_default() += 1;
        }
        format!("{} sent, {} arrived, returned: {errors:?}", self.total(), self.arrived())
    }
}

/// Two people who write to each other.
#[derive(Debug)]
pub struct Traffic {
    one: Client,
    other: Client,
    /// From `one` to `other`.
    pub there: Account,
    /// From `other` to `one`.
    pub back: Account,
}

impl Traffic {
    /// Nothing is sent yet.
    pub fn between(one: Client, other: Client) -> Self {
        Self { one, other, there: Account::default(), back: Account::default() }
    }

    /// Sends until the sender of `stop` is gone.
    pub fn run(&mut self, stop: &Receiver<()>) -> Result<()> {
        let begun = Instant::now();
        while stop.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let body = format!("sent after {:?}", begun.elapsed());
            self.there.sent(self.one.message(&self.other.person.clone(), &body)?);
            self.back.sent(self.other.message(&self.one.person.clone(), &body)?);
            self.note();
        }
        Ok(())
    }

    fn note(&mut self) {
        let (one, other) = (self.one.events(), self.other.events());
        self.there.note(&other, &one);
        self.back.note(&one, &other);
    }

    /// Waits until each message has an outcome.
    pub fn outcomes(&mut self) -> Result<()> {
        Wait::new("an outcome of each message", OUTCOMES).until(|| {
            self.note();
            let done = self.there.is_complete() && self.back.is_complete();
            let state = || {
                format!(
                    "{}: {:?}\n{}: {:?}",
                    self.there.summary(),
                    self.there.unbalanced(),
                    self.back.summary(),
                    self.back.unbalanced()
                )
            };
            Ok(if done { Seen::Done(()) } else { Seen::NotYet(state()) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Event {
        Event::Message { from: "one@a.example".into(), body: "hello".into(), id: id.into() }
    }

    fn error(id: &str) -> Event {
        Event::Error {
            from: "other@b.example".into(),
            of: "message".into(),
            id: id.into(),
            condition: "remote-server-timeout".into(),
            text: String::new(),
        }
    }

    #[test]
    fn each_message_has_exactly_one_outcome() {
        let mut account = Account::default();
        for id in ["a", "b", "c"] {
            account.sent(id.into());
        }
        // The error of another stanza, and the message of the other direction, have other ids.
        account.note(&[message("a"), message("z")], &[error("b"), error("z")]);
        let open: Vec<&str> = account.unbalanced().into_iter().map(|(id, _)| id).collect();
        assert_eq!(open, ["c"]);
        assert!(!account.is_complete());
        account.note(&[message("c"), message("b")], &[]);
        assert!(account.is_complete());
        let twice: Vec<&str> = account.unbalanced().into_iter().map(|(id, _)| id).collect();
        assert_eq!(twice, ["b"]);
        assert_eq!(
            account.summary(),
            "3 sent, 3 arrived, returned: {\"remote-server-timeout\": 1}"
        );
    }
}
