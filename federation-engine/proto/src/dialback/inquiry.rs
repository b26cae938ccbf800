//! The outcome of a query about one of our dialback keys.

/// The result of the `db:verify` request about one of our keys (XEP-0220 §2.2.2), as far as this replica knows it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyInquiry {
    /// No `db:verify` request about it was received.
    NotSeen,
    /// It was confirmed.
    Confirmed,
    /// The request was about another key than ours, or the secret of the key is no longer configured.
    Denied,
    /// The request was answered with an error, because TLS was missing or the policy refused it.
    Refused,
}
