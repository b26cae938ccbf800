//! A stanza error to send.

use crds::xmpp::{ErrorType, StanzaCondition};

/// A stanza error to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StanzaError {
    /// `type`.
    pub kind: ErrorType,
    /// Defined condition (RFC 6120 §8.3.3).
    pub condition: StanzaCondition,
    /// The true cause, as text.
    pub text: String,
}

impl StanzaError {
    /// An error of the type that RFC 6120 §8.3.3 states for the condition.
    pub fn new(condition: StanzaCondition, text: impl Into<String>) -> Self {
        Self { kind: condition.default_type(), condition, text: text.into() }
    }
}
