//! One verdict, before it becomes a condition.

use crds::condition::{Condition, ConditionStatus, ConditionType};
use crds::help;
use crds::reason::ConditionReason;
use jiff::Timestamp;

/// The result of a rung. The message is in whole sentences: what was seen, then what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The condition and its status follow from it.
    pub reason: ConditionReason,
    /// For people.
    pub message: String,
    /// The reason that the message is about, if it is not its own: `Ready` quotes a rung.
    pub about: Option<ConditionReason>,
}

impl Verdict {
    /// A verdict for that reason.
    pub fn new(reason: impl Into<ConditionReason>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), about: None }
    }

    /// The same verdict with a message about another reason, which the link at its end leads to.
    #[must_use]
    pub fn about(self, reason: ConditionReason) -> Self {
        Self { about: Some(reason), ..self }
    }

    /// The rung cannot be judged before another one is True.
    pub fn waiting(rung: ConditionType, on: ConditionType) -> Self {
        Self::new(
            ConditionReason::WaitingFor { rung, on },
            format!("This check waits for {on} to become True."),
        )
    }

    /// The verdict that a condition in the status shows; `None` if this version does not know its reason.
    pub fn shown(condition: &Condition) -> Option<Self> {
        let type_ = ConditionType::from_name(&condition.type_)?;
        let reason = ConditionReason::from_name(type_, &condition.reason)?;
        Some(Self::new(reason, help::without_link(&condition.message)))
    }

    /// The condition.
    pub const fn type_(&self) -> ConditionType {
        self.reason.condition()
    }

    /// Whether it holds.
    pub fn status(&self) -> ConditionStatus {
        self.reason.status()
    }

    /// The rung waits for another one.
    pub const fn is_waiting(&self) -> bool {
        self.waits_for().is_some()
    }

    /// The rung that must become True first.
    pub const fn waits_for(&self) -> Option<ConditionType> {
        match self.reason {
            ConditionReason::WaitingFor { on, .. } => Some(on),
            _ => None,
        }
    }

    /// The verdict as a condition of the status. If it is not True, the message ends with the link to its explanation.
    pub fn into_condition(self, generation: Option<i64>, now: Timestamp) -> Condition {
        let mut condition = Condition::new(self.reason, &self.message, generation, now);
        if condition.status != ConditionStatus::True {
            condition.message = help::with_link(&self.message, self.about.unwrap_or(self.reason));
        }
        condition
    }
}
