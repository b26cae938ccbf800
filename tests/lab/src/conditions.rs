//! Watches the conditions of an object for changes.

use std::io::{BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Deserializer, Value};

use crate::error::{Error, Result};
use crate::kubernetes::kubectl;
use crate::paths::Paths;
use crate::wait::{Wait, slowness};

/// One condition (Kubernetes API conventions, "Typical status properties").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Condition {
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The machine-readable reason.
    pub reason: String,
    /// The human-readable message.
    pub message: String,
}

/// A federation in the state of one watch update.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The whole object.
    pub object: Value,
    /// Its conditions, in the order of the object's list.
    pub conditions: Vec<Condition>,
}

impl Snapshot {
    /// Extracts the conditions from an object.
    pub fn of(object: Value) -> Self {
        let conditions = object
            .pointer("/status/conditions")
            .and_then(|list| Vec::deserialize(list).ok())
            .unwrap_or_default();
        Self { object, conditions }
    }

    /// The condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// True if the condition exists and is True.
    pub fn is_true(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "True")
    }

    /// True if the condition exists with this status and reason.
    pub fn has(&self, kind: &str, status: &str, reason: &str) -> bool {
        self.condition(kind).is_some_and(|found| found.status == status && found.reason == reason)
    }

    /// The conditions that differ from those before.
    pub fn changes_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Condition> {
        self.conditions.iter().filter(move |now| {
            before
                .condition(&now.kind)
                .is_none_or(|then| then.status != now.status || then.reason != now.reason)
        })
    }

    /// One line per condition.
    pub fn table(&self) -> String {
        let lines: Vec<String> = self.conditions.iter().map(Condition::to_string).collect();
        lines.join("\n")
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, status, reason, message } = self;
        write!(f, "{kind:<18} {status:<8} {reason:<24} {message}")
    }
}

/// A running watch of one federation.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    updates: Receiver<Value>,
    /// The state in the last update.
    pub last: Snapshot,
}

impl Watch {
    /// Starts to watch.
    pub fn start(paths: &Paths, namespace: &str, name: &str) -> Result<Self> {
        let mut child = kubectl(paths)?
            .args(["get", "xmppfederation", name, "-n", namespace, "-o", "json", "--watch"])
            .into_command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Io { doing: "starting kubectl get --watch".into(), source })?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| Error::State("kubectl has no standard output".into()))?;
        let (tell, updates) = channel();
        thread::spawn(move || {
            for value in objects(BufReader::new(output)) {
                if tell.send(value).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, updates, last: Snapshot::default() })
    }

    /// Waits until an update matches `wanted`; `seen` gets every update together with the previous one.
    pub fn until(
        &mut self,
        wait: Wait,
        within: Duration,
        mut seen: impl FnMut(&Snapshot, &Snapshot),
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        let within = within * slowness();
        loop {
            if wanted(&self.last) {
                return Ok(());
            }
            match self.updates.recv_timeout(within.saturating_sub(begun.elapsed())) {
                Ok(object) => {
                    let now = Snapshot::of(object);
                    seen(&self.last, &now);
                    self.last = now;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let table = format!("\n{}", self.last.table());
                    return Err(wait.expired(begun.elapsed(), table));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::State(format!(
                        "the watch has ended; last seen:\n{}",
                        self.last.table()
                    )));
                }
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The nsenter(1) process has become kubectl, so this stops the watch itself. A watch that has already stopped
        // is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn objects(output: impl Read) -> impl Iterator<Item = Value> {
    Deserializer::from_reader(output).into_iter::<Value>().map_while(std::result::Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot(status: &str, reason: &str) -> Snapshot {
        Snapshot::of(json!({"status": {"conditions": [
            {"type": "Accepted", "status": "True", "reason": "Valid", "message": "fine"},
            {"type": "Ready", "status": status, "reason": reason, "message": "because"},
        ]}}))
    }

    #[test]
    fn only_what_turned_is_a_change() {
        let before = snapshot("Unknown", "Waiting");
        let after = snapshot("True", "Federated");
        let kinds: Vec<_> = after.changes_since(&before).map(|c| c.kind.as_str()).collect();
        assert_eq!(kinds, ["Ready"]);
        assert_eq!(after.changes_since(&Snapshot::default()).count(), 2);
        assert!(after.has("Ready", "True", "Federated") && !before.is_true("Ready"));
    }

    #[test]
    fn a_watch_is_a_row_of_objects() {
        let text = "{\"a\": 1}\n{\"a\":\n 2}\n";
        assert_eq!(objects(text.as_bytes()).count(), 2);
    }
}
