//! What became of a question about one of our dialback keys.

/// What became of the question about a key of ours (XEP-0220 §2.2.2), as far as this replica knows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyInquiry {
    /// No `db:verify` about it has come.
    NotSeen,
    /// It was confirmed.
    Confirmed,
    /// Another key than ours was asked about, or it was made by a secret that is gone.
    Denied,
    /// The question was answered by an error, for want of TLS or by policy.
    Refused,
}
