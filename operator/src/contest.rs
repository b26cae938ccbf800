//! Another writer of a child: the operator restores what others change, but two programs that restore the same object would
//! go on forever. After a few changes in a row, the operator names the writer and pauses. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

/// Time in which [`LIMIT`] restorations are a contest.
const WINDOW: Duration = Duration::from_mins(1);
/// Restorations of one object within [`WINDOW`] after which the operator pauses.
const LIMIT: usize = 5;
/// First and longest pause. Each further restoration doubles it.
const PAUSE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(10));
/// A restoration within this time after the last pause continues the contest.
const MEMORY: Duration = Duration::from_mins(10);

/// The restorations of one child.
#[derive(Clone, Debug, Default)]
pub struct Contest {
    restored: VecDeque<Instant>,
    pause: Option<Pause>,
}

#[derive(Clone, Debug)]
struct Pause {
    until: Instant,
    length: Duration,
    writer: Option<Writer>,
}

/// Who changes a child.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Writer {
    /// A field manager with this name.
    Manager(String),
    /// A program with the operator's own field manager.
    Operator,
}

impl Contest {
    /// Whether the next restoration may begin or continue a contest, so that the writer should be known.
    pub fn is_suspected(&self) -> bool {
        self.restored.len() + 1 >= LIMIT || self.pause.is_some()
    }

    /// The child was restored.
    pub fn restored(&mut self, writer: Option<Writer>, now: Instant) {
        self.restored.retain(|at| now.duration_since(*at) < WINDOW);
        self.restored.push_back(now);
        let (first, longest) = PAUSE;
        let last = self.pause.take();
        let length = match &last {
            Some(last) if now.saturating_duration_since(last.until) < MEMORY => {
                (last.length * 2).min(longest)
            }
            _ if self.restored.len() >= LIMIT => first,
            _ => return,
        };
        let writer = writer.or_else(|| last.and_then(|last| last.writer));
        self.restored.clear();
        self.pause = Some(Pause { until: now + length, length, writer });
    }

    /// While the operator pauses: who changes the child, if known.
    pub fn pauses(&self, now: Instant) -> Option<Option<&Writer>> {
        let pause = self.pause.as_ref().filter(|pause| now < pause.until)?;
        Some(pause.writer.as_ref())
    }
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manager(name) => write!(f, "field manager {name}"),
            Self::Operator => write!(f, "another {}", crds::FIELD_MANAGER),
        }
    }
}

/// The last writer of an object, except of its status. If several wrote in the same second, one that is not the operator.
pub fn last_writer(entries: &[ManagedFieldsEntry]) -> Option<Writer> {
    let whole = entries.iter().filter(|entry| entry.subresource.as_deref() != Some("status"));
    let last = whole.max_by_key(|entry| {
        let foreign = entry.manager.as_deref() != Some(crds::FIELD_MANAGER);
        (entry.time.as_ref().map(|time| time.0), foreign)
    })?;
    Some(match last.manager.as_deref() {
        Some(crds::FIELD_MANAGER) => Writer::Operator,
        other => Writer::Manager(other.unwrap_or("unknown").to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(contest: &mut Contest, seconds: &[u64], begun: Instant) {
        for second in seconds {
            let writer = Some(Writer::Manager("argocd".to_owned()));
            contest.restored(writer, begun + Duration::from_secs(*second));
        }
    }

    #[test]
    fn a_few_changes_in_a_row_are_a_contest_and_changes_now_and_then_are_none() {
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        let mut rare = Contest::default();
        after(&mut rare, &[0, 30, 61, 92, 123, 154], begun);
        assert_eq!(rare.pauses(at(155)), None);
        let mut contest = Contest::default();
        after(&mut contest, &[0, 1, 2, 3], begun);
        assert!(contest.is_suspected() && contest.pauses(at(3)).is_none());
        after(&mut contest, &[4], begun);
        let writer = Writer::Manager("argocd".to_owned());
        assert_eq!(contest.pauses(at(63)), Some(Some(&writer)));
        assert_eq!(contest.pauses(at(64)), None);
        // Another change after the pause.
        after(&mut contest, &[64], begun);
        assert!(contest.pauses(at(183)).is_some(), "the pause is longer");
        assert!(contest.pauses(at(184)).is_none());
        // Peace for a while ends the contest.
        after(&mut contest, &[1000], begun);
        assert_eq!(contest.pauses(at(1000)), None);
    }

    #[test]
    fn the_last_writer_is_named_and_the_status_is_nobodys_change() {
        let entry = |manager: &str, second: u32, subresource: &str| -> ManagedFieldsEntry {
            serde_json::from_value(json!({
                "manager": manager, "operation": "Apply", "subresource": subresource,
                "time": format!("2026-11-01T12:00:{second:02}Z")
            }))
            .unwrap()
        };
        let own = entry(crds::FIELD_MANAGER, 3, "");
        let status = entry("kube-controller-manager", 9, "status");
        assert_eq!(last_writer(&[own.clone(), status.clone()]), Some(Writer::Operator));
        let other = entry("argocd", 3, "");
        let argo = Writer::Manager("argocd".to_owned());
        assert_eq!(last_writer(&[other, own, status]), Some(argo));
        assert_eq!(last_writer(&[]), None);
    }
}
