//! The events about a federation: how often each was published.

use std::collections::BTreeMap;

use serde_json::Value;

use super::stage::{NAME, Stage};
use crate::error::Result;
use crate::kubernetes::get;

/// Reason and action of an event, which its series is named by, and how often it was published.
pub type Counts = BTreeMap<(String, String), u64>;

/// All events about the federation.
pub fn counts(stage: &Stage) -> Result<Counts> {
    let list: Value = get(&stage.paths, &["events.v1.events.k8s.io", "-n", &stage.namespace])?;
    let word = |event: &Value, pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut counts = Counts::new();
    for event in list.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
        if word(event, "/regarding/kind") == "XmppFederation"
            && word(event, "/regarding/name") == NAME
        {
            let series = event.pointer("/series/count").and_then(Value::as_u64).unwrap_or(1);
            *counts.entry((word(event, "/reason"), word(event, "/action"))).or_default() += series;
        }
    }
    Ok(counts)
}

/// What was published in between, and how often.
pub fn published(before: &Counts, after: &Counts) -> Counts {
    let times = |(key, now): (&(String, String), &u64)| {
        let then = before.get(key).copied().unwrap_or_default();
        (*now > then).then(|| (key.clone(), now - then))
    };
    after.iter().filter_map(times).collect()
}
