//! The answer to a question about a dialback key (XEP-0220 §2.3).

use crds::xmpp::StanzaCondition;

/// What came of asking the authoritative server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verification {
    /// The key is its own.
    Valid,
    /// It does not know the key.
    Invalid,
    /// It could not be asked, or answered with an error (XEP-0220 §2.5).
    Error {
        /// Stanza error condition (RFC 6120 §8.3.3).
        condition: StanzaCondition,
        /// For the people at the other end; may be empty. Names nothing of our inside.
        text: String,
        /// The true cause, for ours, where it says more; never sent.
        cause: Option<String>,
    },
}

impl Verification {
    /// An error of ours.
    pub fn error(condition: StanzaCondition, text: impl Into<String>) -> Self {
        Self::Error { condition, text: text.into(), cause: None }
    }

    /// An error of ours that has two texts: one for strangers, and one for our people.
    pub fn error_of(
        condition: StanzaCondition,
        text: impl Into<String>,
        cause: impl Into<String>,
    ) -> Self {
        Self::Error { condition, text: text.into(), cause: Some(cause.into()) }
    }
}
