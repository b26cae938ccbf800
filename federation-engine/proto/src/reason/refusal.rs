//! Why a single stanza was refused.

use crds::word::Word;

/// Why a single stanza was refused. Counted under its word; the sender is notified unless the stanza was itself an
/// error.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Refusal {
    /// No usable `to` or `from` (RFC 6120 §4.9.3.7).
    #[error("the stanza has no usable 'to' or 'from'")]
    ImproperAddressing,
    /// An address that a server refuses when it prepares it, or that it interprets as another one (RFC 6120 §8.3.3.8,
    /// RFC 7622 §3.3).
    #[error(
        "an address has a part that is empty, is too long, contains a forbidden character or mixes writing directions"
    )]
    MalformedAddress,
    /// `from` is not a domain that is authenticated on this stream (RFC 6120 §8.1.2.2).
    #[error("the domain in 'from' is not authenticated on this stream")]
    InvalidFrom,
    /// `to` is not served here; stanzas between two remote domains are not relayed (RFC 6120 §10.4).
    #[error("the domain in 'to' is not served here")]
    HostUnknown,
    /// Before authentication (RFC 6120 §4.3.5).
    #[error("the stream is not authenticated")]
    NotAuthorized,
    /// Denied by policy.
    #[error("federation between these domains is not allowed")]
    PolicyDenied,
    /// Larger than the limit (RFC 6120 §13.12).
    #[error("the stanza is larger than the limit")]
    TooLarge,
    /// Not message, presence or iq (RFC 6120 §4.9.3.24).
    #[error("the element is not a stanza")]
    UnsupportedStanzaType,
    /// The queue of the pair is full.
    #[error("too many stanzas are queued for the remote server")]
    QueueFull,
    /// An error stanza that could not be delivered; errors are never answered (RFC 6120 §8.3.1).
    #[error("an error stanza could not be delivered")]
    UndeliverableError,
    /// The peer has closed two streams on it.
    #[error("the remote server closes its streams when it receives this stanza")]
    EndsStreams,
    /// Too many domains are authenticated by the certificate or from the source of the stream.
    #[error("too many domains are authenticated with this certificate or from this address range")]
    TooManyNames,
    /// The backend of the domain in `to` is down. The peer keeps the stanzas and tries again.
    #[error("the server of this domain cannot be reached at the moment; try again later")]
    BackendUnreachable,
}

impl Refusal {
    /// All of them, for metrics.
    pub const ALL: [Self; 13] = [
        Self::ImproperAddressing,
        Self::MalformedAddress,
        Self::InvalidFrom,
        Self::HostUnknown,
        Self::NotAuthorized,
        Self::PolicyDenied,
        Self::TooLarge,
        Self::UnsupportedStanzaType,
        Self::QueueFull,
        Self::UndeliverableError,
        Self::EndsStreams,
        Self::TooManyNames,
        Self::BackendUnreachable,
    ];

    /// The stable word for this reason.
    pub fn word(self) -> Word {
        match self {
            Self::ImproperAddressing => Word::ImproperAddressing,
            Self::MalformedAddress => Word::MalformedAddress,
            Self::InvalidFrom => Word::InvalidFrom,
            Self::HostUnknown => Word::HostUnknown,
            Self::NotAuthorized => Word::NotAuthorized,
            Self::PolicyDenied => Word::PolicyDenied,
            Self::TooLarge => Word::TooLarge,
            Self::UnsupportedStanzaType => Word::UnsupportedStanzaType,
            Self::QueueFull => Word::QueueFull,
            Self::UndeliverableError => Word::UndeliverableError,
            Self::EndsStreams => Word::EndsStreams,
            Self::TooManyNames => Word::TooManyNames,
            Self::BackendUnreachable => Word::BackendUnreachable,
        }
    }
}
