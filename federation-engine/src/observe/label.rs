//! Label values of metrics: closed enums, so that nothing from the network ever becomes a label.

use crds::xmpp::StanzaCondition;
use s2s_proto::dialback::KeyVerdict;

use crate::leg::Leg;
use crate::tls::mint::{MintError, TooFast};

/// A value of one label.
pub trait Label: Copy + 'static {
    /// Name of the label.
    const NAME: &'static str;
    /// All values.
    const ALL: &'static [Self];

    /// The value in the metric.
    fn value(self) -> &'static str;

    /// Position in [`Self::ALL`].
    fn index(self) -> usize;
}

impl Label for Leg {
    const NAME: &'static str = "leg";
    const ALL: &'static [Self] = &[Self::Outer, Self::Inner];

    fn value(self) -> &'static str {
        match self {
            Self::Outer => "outer",
            Self::Inner => "inner",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// How a dialback verification ended, as the receiving or authoritative server sees it (XEP-0220 §2.2, §2.4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum VerificationResult {
    /// `type='valid'`.
    Valid,
    /// `type='invalid'`.
    Invalid,
    /// `type='error'`, or the authoritative server could not be reached.
    Error,
    /// No answer in time.
    TimedOut,
}

impl From<&KeyVerdict> for VerificationResult {
    fn from(verification: &KeyVerdict) -> Self {
        match verification {
            KeyVerdict::Valid => Self::Valid,
            KeyVerdict::Invalid => Self::Invalid,
            KeyVerdict::Error { condition: StanzaCondition::RemoteServerTimeout, .. } => {
                Self::TimedOut
            }
            KeyVerdict::Error { .. } => Self::Error,
        }
    }
}

impl Label for VerificationResult {
    const NAME: &'static str = "result";
    const ALL: &'static [Self] = &[Self::Valid, Self::Invalid, Self::Error, Self::TimedOut];

    fn value(self) -> &'static str {
        match self {
            Self::Valid => "Valid",
            Self::Invalid => "Invalid",
            Self::Error => "Error",
            Self::TimedOut => "TimedOut",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// A limit of one peer (`peers[].limits`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PeerLimit {
    /// `streams`.
    Streams,
    /// `stanzasPerSecond`.
    StanzasPerSecond,
}

impl PeerLimit {
    /// The field.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::StanzasPerSecond => "stanzasPerSecond",
        }
    }
}

/// The kind of holder that made room when the budget of the process was exhausted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shed {
    /// An unauthenticated connection.
    Unauthenticated,
    /// An idle stream.
    Idle,
    /// A stream of the domain that held the most.
    Active,
    /// A queue of the domain that held the most.
    Queue,
}

impl Label for Shed {
    const NAME: &'static str = "what";
    const ALL: &'static [Self] = &[Self::Unauthenticated, Self::Idle, Self::Active, Self::Queue];

    fn value(self) -> &'static str {
        match self {
            Self::Unauthenticated => "Unauthenticated",
            Self::Idle => "Idle",
            Self::Active => "Active",
            Self::Queue => "Queue",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// How the engine's DNS server handled a query.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DnsResult {
    /// Answered with records of its own.
    Answered,
    /// Answered from the cache.
    Cached,
    /// Answered by a resolver.
    Forwarded,
    /// No resolver answered.
    Failed,
    /// Refused: its source is not among the clients.
    Refused,
    /// Malformed, or of a kind that the server does not implement.
    Malformed,
    /// Too many queries are being forwarded.
    Overloaded,
    /// The same question is being forwarded too often: a resolver forwards to this server.
    Looped,
}

impl Label for DnsResult {
    const NAME: &'static str = "result";
    const ALL: &'static [Self] = &[
        Self::Answered,
        Self::Cached,
        Self::Forwarded,
        Self::Failed,
        Self::Refused,
        Self::Malformed,
        Self::Overloaded,
        Self::Looped,
    ];

    fn value(self) -> &'static str {
        match self {
            Self::Answered => "Answered",
            Self::Cached => "Cached",
            Self::Forwarded => "Forwarded",
            Self::Failed => "Failed",
            Self::Refused => "Refused",
            Self::Malformed => "Malformed",
            Self::Overloaded => "Overloaded",
            Self::Looped => "Looped",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// The result of a request for a certificate of a remote domain, to be presented to a backend.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MintResult {
    /// A new one was issued.
    Minted,
    /// It was in the cache.
    Cached,
    /// Too many were issued for the domain.
    DomainTooFast,
    /// Too many were issued for all domains together.
    TooFast,
    /// The domain is a local one.
    LocalDomain,
    /// The backend CA cannot sign.
    Failed,
}

impl From<&MintError> for MintResult {
    fn from(error: &MintError) -> Self {
        match error {
            MintError::LocalDomain(_) => Self::LocalDomain,
            MintError::TooFast(TooFast::Domain(_)) => Self::DomainTooFast,
            MintError::TooFast(TooFast::InAll) => Self::TooFast,
            MintError::Issue(_) | MintError::Unusable(_) => Self::Failed,
        }
    }
}

impl Label for MintResult {
    const NAME: &'static str = "result";
    const ALL: &'static [Self] = &[
        Self::Minted,
        Self::Cached,
        Self::DomainTooFast,
        Self::TooFast,
        Self::LocalDomain,
        Self::Failed,
    ];

    fn value(self) -> &'static str {
        match self {
            Self::Minted => "Minted",
            Self::Cached => "Cached",
            Self::DomainTooFast => "DomainTooFast",
            Self::TooFast => "TooFast",
            Self::LocalDomain => "LocalDomain",
            Self::Failed => "Failed",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for s2s_proto::reason::Refusal {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &Self::ALL;

    fn value(self) -> &'static str {
        self.word().known().unwrap_or_default()
    }

    fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s2s_proto::reason::Refusal;

    fn indices_are_positions<L: Label>() {
        for (position, label) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), position, "{}", label.value());
        }
    }

    const REASONS: &str = include_str!("../../../docs/reasons.md");
    const ENGINE: &str = include_str!("../../../docs/engine.md");

    /// What is in backticks.
    fn quoted(text: &str) -> Vec<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    fn values<L: Label>() -> Vec<&'static str> {
        L::ALL.iter().map(|label| label.value()).collect()
    }

    #[test]
    fn the_reasons_page_has_every_reason_of_a_refused_stanza_and_no_other() {
        let section = REASONS.split("\n## ").find(|section| section.starts_with("Refused stanzas"));
        let rows = section.unwrap().lines().filter(|line| line.starts_with("| `"));
        let mut words: Vec<_> = rows.filter_map(|row| quoted(row).first().copied()).collect();
        let mut refusals = values::<Refusal>();
        words.sort_unstable();
        refusals.sort_unstable();
        assert_eq!(words, refusals);
    }

    #[test]
    fn the_engine_page_lists_the_results_of_dns_queries() {
        let (_, list) = ENGINE.split_once("counts queries by result:").unwrap();
        let (list, _) = list.split_once('.').unwrap();
        assert_eq!(quoted(list), values::<DnsResult>());
    }

    #[test]
    fn the_engine_page_lists_the_results_of_minting() {
        let (_, list) = ENGINE.split_once("counts minted certificates by result:").unwrap();
        let (list, _) = list.split_once('.').unwrap();
        assert_eq!(quoted(list), values::<MintResult>());
    }

    #[test]
    fn every_value_knows_its_place() {
        indices_are_positions::<Leg>();
        indices_are_positions::<VerificationResult>();
        indices_are_positions::<DnsResult>();
        indices_are_positions::<MintResult>();
        indices_are_positions::<Refusal>();
        indices_are_positions::<Shed>();
    }
}
