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
    /// `False` or `Unknown`.
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
