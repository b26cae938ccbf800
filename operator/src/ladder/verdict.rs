//! One verdict, before it becomes a condition.

use std::borrow::Cow;

use crds::condition::{Condition, ConditionStatus, ConditionType, sentence};
use crds::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What a rung says. The message is whole sentences: what was seen, then what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The condition.
    pub type_: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Word of the condition's reasons, or `WaitingFor<Type>`.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
}

impl Verdict {
    /// Type and status follow from the reason.
    pub fn new<R: Reason>(reason: R, message: impl Into<String>) -> Self {
        Self {
            type_: R::TYPE,
            status: reason.status(),
            reason: Cow::Borrowed(reason.as_str()),
            message: message.into(),
        }
    }

    /// The rung cannot be judged before another one is True.
    pub fn waiting(type_: ConditionType, on: ConditionType) -> Self {
        Self {
            type_,
            status: ConditionStatus::Unknown,
            reason: Cow::Owned(format!("WaitingFor{on}")),
            message: format!("This cannot be judged before {on} is True."),
        }
    }

    /// The rung waits for another one.
    pub fn is_waiting(&self) -> bool {
        self.reason.starts_with("WaitingFor")
    }

    /// The verdict as a condition of the status.
    pub fn into_condition(self, generation: Option<i64>, now: Timestamp) -> Condition {
        Condition {
            type_: self.type_.as_str().to_owned(),
            status: self.status,
            reason: self.reason.into_owned(),
            message: sentence(&self.message),
            observed_generation: generation,
            last_transition_time: Time(now),
        }
    }
}
