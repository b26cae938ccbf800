//! The messages of the last recorded run, from which docs/troubleshooting.md is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::run::Outcome;
use crate::error::{Error, Result};
use crate::paths::{Paths, read, write};

/// What the status says about one fault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// The condition.
    pub condition: String,
    /// `False`, `Unknown`, or `True` with a reason of its own.
    pub status: String,
    /// The reason.
    pub reason: String,
    /// The message, with the names and addresses of an example.
    pub message: String,
}

/// The records by the names of the faults.
pub type Records = BTreeMap<String, Record>;

fn file(paths: &Paths) -> PathBuf {
    paths.source.join("catalogue.json")
}

/// The recorded messages.
pub fn recorded(paths: &Paths) -> Result<Records> {
    serde_json::from_str(&read(&file(paths))?).map_err(Error::json("tests/lab/catalogue.json"))
}

/// The records of a run.
pub fn of(outcomes: &[Outcome]) -> Records {
    let one = |outcome: &Outcome| {
        let shown = outcome.shown.as_ref()?;
        let record = Record {
            condition: shown.kind.clone(),
            status: shown.status.clone(),
            reason: shown.reason.clone(),
            message: outcome.example.clone(),
        };
        Some((outcome.fault.name.to_owned(), record))
    };
    outcomes.iter().filter_map(one).collect()
}

/// Adds the records of a run to those that exist, and forgets faults that are no longer in the catalogue.
pub fn update(paths: &Paths, new: Records) -> Result<()> {
    let mut all = recorded(paths).unwrap_or_default();
    all.extend(new);
    all.retain(|name, _| super::all().any(|fault| fault.name == name));
    let text = serde_json::to_string_pretty(&all).map_err(Error::json("the records"))?;
    write(&file(paths), format!("{text}\n"))
}

/// The faults whose message is another one than the recorded one. Numbers and the order of words may differ: servers answer
/// in any order.
pub fn differences(recorded: &Records, new: &Records) -> Vec<String> {
    let differs = |(name, record): (&String, &Record)| match recorded.get(name) {
        Some(known) if words(&known.message) == words(&record.message) => None,
        Some(known) => Some(format!(
            "{name}: the message is not the recorded one: run `make troubleshooting`\n  now:      {}\n  recorded: {}",
            record.message, known.message
        )),
        None => Some(format!("{name}: not recorded: run `make troubleshooting`")),
    };
    new.iter().filter_map(differs).collect()
}

/// The words of a message, sorted, without the digits that vary. The kernel answers some of the datagrams to a closed port
/// only, so a server that is down refuses one query and is silent to the next.
fn words(message: &str) -> Vec<String> {
    let message =
        message.replace(": Connection refused (os error 111)", " did not answer within 2s");
    let word = |word: &str| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_punctuation());
        word.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect()
    };
    let mut words: Vec<String> = message.split_whitespace().map(word).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(message: &str) -> Records {
        let record = Record {
            condition: "Accepted".to_owned(),
            status: "False".to_owned(),
            reason: "ApplyFailed".to_owned(),
            message: message.to_owned(),
        };
        [("a fault".to_owned(), record)].into()
    }

    #[test]
    fn a_message_may_differ_in_numbers_and_in_order_only() {
        let recorded =
            records("No answer: 192.0.2.1:53 is silent; 192.0.2.2:53 refuses. Check it.");
        let order = records("No answer: 192.0.2.2:53 refuses; 192.0.2.1:53 is silent. Check it.");
        let numbers =
            records("No answer: 192.0.2.1:5353 is silent; 192.0.2.7:53 refuses. Check it.");
        let words = records("No answer: 192.0.2.1:53 is silent; 192.0.2.2:53 refuses. Test it.");
        assert_eq!(differences(&recorded, &order), [] as [String; 0]);
        assert_eq!(differences(&recorded, &numbers), [] as [String; 0]);
        assert_eq!(differences(&recorded, &words).len(), 1);
        let refused = records(
            "192.0.2.1:53: Connection refused (os error 111); 192.0.2.2:53: Connection refused (os error 111). Check it.",
        );
        let silent = records(
            "192.0.2.1:53 did not answer within 2s; 192.0.2.2:53: Connection refused (os error 111). Check it.",
        );
        assert_eq!(differences(&refused, &silent), [] as [String; 0]);
        assert_eq!(differences(&Records::new(), &words).len(), 1);
    }
}
