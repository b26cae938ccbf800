//! Dialback requests of one inbound stream that wait for the authoritative server (XEP-0220 §2.2).

use std::time::Instant;

use crds::xmpp::{StanzaCondition, StreamCondition};

use crate::pair::Pair;
use crate::reason::{DnsReason, Failure};

/// The answer to came of asking the authoritative server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyVerdict {
    /// The server confirmed the key.
    Valid,
    /// The server reported the key as invalid.
    Invalid,
    /// The server could not be queried, or answered with an error (XEP-0220 §2.5).
    Error {
        /// Stanza error condition (RFC 6120 §8.3.3).
        condition: StanzaCondition,
        /// For the administrators of the peer; may be empty. Contains nothing about this side.
        text: String,
        /// The true cause, for the local administrators, if it has more detail; never sent.
        cause: Option<String>,
    },
}

impl KeyVerdict {
    /// An error of this side.
    pub fn error(condition: StanzaCondition, text: impl Into<String>) -> Self {
        Self::Error { condition, text: text.into(), cause: None }
    }

    /// The answer for the initiating server when the authoritative one gave this one. From us, `item-not-found` would
    /// mean that we do not host the domain that it wants to reach (XEP-0220 §2.5).
    #[must_use]
    pub fn relayed(self) -> Self {
        match self {
            Self::Error { condition: StanzaCondition::ItemNotFound, text, cause } => {
                Self::Error { condition: StanzaCondition::RemoteServerNotFound, text, cause }
            }
            other => other,
        }
    }

    /// An error of this side with two texts: one for the peer, and one for the local administrators.
    pub fn error_of(
        condition: StanzaCondition,
        text: impl Into<String>,
        cause: impl Into<String>,
    ) -> Self {
        Self::Error { condition, text: text.into(), cause: Some(cause.into()) }
    }
}

/// The answer for the initiating server if the authoritative one could not be queried (XEP-0220 §2.5).
impl From<&Failure> for KeyVerdict {
    fn from(failure: &Failure) -> Self {
        let condition = match failure {
            Failure::Dns(DnsReason::ResolverUnavailable { .. } | DnsReason::Bogus { .. })
            | Failure::NegotiationTimedOut(_)
            | Failure::ConnectionLost(_)
            | Failure::DialbackTimedOut => StanzaCondition::RemoteServerTimeout,
            Failure::Dns(_)
            | Failure::StreamError { condition: StreamCondition::HostUnknown, .. } => {
                StanzaCondition::RemoteServerNotFound
            }
            // From RFC 6120 §8.3.3.10: the table has no condition for a denied pair.
            Failure::BlockedByLocalPolicy => StanzaCondition::NotAllowed,
            // `policy-violation` is about the initiating server's stream; this is about the authentication of the
            // domain.
            Failure::Certificate(_)
            | Failure::CertificateRequired(_)
            | Failure::StartTlsNotOffered
            | Failure::StartTlsRefused => StanzaCondition::NotAuthorized,
            _ => StanzaCondition::RemoteConnectionFailed,
        };
        Self::error_of(condition, failure.remote_text(), failure.to_string())
    }
}

/// Why a request is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The maximum is pending.
    #[error("too many dialback requests are pending on this stream")]
    TooMany,
    /// The same pair is already pending.
    #[error("a dialback request for this pair is already pending")]
    Duplicate,
}

/// The pending requests, each with the instant at which it times out.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Vec<(Pair, Instant)>,
}

impl Pending {
    /// Accepts a request.
    ///
    /// # Errors
    /// When `cap` requests are pending, or the pair is.
    pub(crate) fn insert(
        &mut self,
        pair: &Pair,
        deadline: Instant,
        cap: usize,
    ) -> Result<(), NotTaken> {
        if self.waiting.iter().any(|(waiting, _)| waiting == pair) {
            return Err(NotTaken::Duplicate);
        }
        if self.waiting.len() >= cap {
            return Err(NotTaken::TooMany);
        }
        self.waiting.push((pair.clone(), deadline));
        Ok(())
    }

    /// Removes a request; false when it was not pending (any more).
    pub(crate) fn remove(&mut self, pair: &Pair) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| waiting != pair);
        self.waiting.len() < before
    }

    /// Removes one request that has timed out.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Pair> {
        let index = self.waiting.iter().position(|(_, deadline)| *deadline <= now)?;
        Some(self.waiting.swap_remove(index).0)
    }

    /// When the next request times out.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|(_, deadline)| *deadline).min()
    }

    /// Removes all requests: their stream was restarted or closed.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Domain;
    use crate::reason::{CertificateReason, ConnectReason, Records};

    fn pair(from: &str) -> Pair {
        Pair { from: Domain::parse(from).unwrap(), to: Domain::parse("to.example").unwrap() }
    }

    #[test]
    fn xep0220_2_5_the_condition_says_why_the_authoritative_server_was_not_asked() {
        let name = || "them.example".to_owned();
        let address = "198.18.0.9:5269".parse().unwrap();
        let closed_with =
            |condition| Failure::StreamError { condition, text: "their words".to_owned() };
        let unavailable =
            DnsReason::ResolverUnavailable { name: name(), detail: "SERVFAIL".to_owned() };
        for (failure, expected) in [
            (unavailable.into(), "remote-server-timeout"),
            (
                DnsReason::Bogus { name: name(), records: Records::Service }.into(),
                "remote-server-timeout",
            ),
            (Failure::NegotiationTimedOut("anything"), "remote-server-timeout"),
            (Failure::DialbackTimedOut, "remote-server-timeout"),
            (DnsReason::DomainNotFound { name: name() }.into(), "remote-server-not-found"),
            (DnsReason::NoAddress { name: name() }.into(), "remote-server-not-found"),
            (closed_with(StreamCondition::HostUnknown), "remote-server-not-found"),
            (closed_with(StreamCondition::Reset), "remote-connection-failed"),
            (Failure::ConnectionLost("anything"), "remote-server-timeout"),
            (Failure::BlockedByLocalPolicy, "not-allowed"),
            (CertificateReason::SelfSigned.into(), "not-authorized"),
            (Failure::CertificateRequired(CertificateReason::SelfSigned), "not-authorized"),
            (Failure::StartTlsNotOffered, "not-authorized"),
            (Failure::StartTlsRefused, "not-authorized"),
            (Failure::Connect(vec![(address, ConnectReason::Refused)]), "remote-connection-failed"),
            (Failure::Handshake("eof".to_owned()), "remote-connection-failed"),
            (Failure::ShuttingDown, "remote-connection-failed"),
        ] {
            let answer = KeyVerdict::from(&failure);
            let KeyVerdict::Error { condition, text, cause } = answer else { panic!("{answer:?}") };
            assert_eq!(condition.as_str(), expected, "{failure}");
            assert_eq!((text.as_str(), cause), (failure.remote_text(), Some(failure.to_string())));
        }
    }

    #[test]
    fn the_number_of_waiting_requests_is_bounded_and_a_pair_waits_once() {
        let now = Instant::now();
        let mut pending = Pending::default();
        assert_eq!(pending.insert(&pair("a.example"), now, 2), Ok(()));
        assert_eq!(pending.insert(&pair("a.example"), now, 2), Err(NotTaken::Duplicate));
        assert_eq!(pending.insert(&pair("b.example"), now, 2), Ok(()));
        assert_eq!(pending.insert(&pair("c.example"), now, 2), Err(NotTaken::TooMany));
        assert!(pending.remove(&pair("a.example")));
        assert!(!pending.remove(&pair("a.example")));
        assert_eq!(pending.insert(&pair("c.example"), now, 2), Ok(()));
    }

    #[test]
    fn requests_expire_one_by_one_at_their_own_time() {
        let start = Instant::now();
        let later = start + Duration::from_secs(30);
        let mut pending = Pending::default();
        pending.insert(&pair("a.example"), later, 4).unwrap();
        pending.insert(&pair("b.example"), start, 4).unwrap();
        assert_eq!(pending.deadline(), Some(start));
        assert_eq!(pending.expired(start), Some(pair("b.example")));
        assert_eq!(pending.expired(start), None);
        assert_eq!(pending.expired(later), Some(pair("a.example")));
        assert_eq!(pending.deadline(), None);
    }
}
