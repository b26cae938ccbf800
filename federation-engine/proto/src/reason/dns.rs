//! Why DNS gave no target.

use std::fmt;

use crds::word::Word;

/// Why DNS gave no target.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DnsReason {
    /// Neither SRV nor address records, or NXDOMAIN.
    #[error("DNS has no SRV or address records for {name}")]
    DomainNotFound {
        /// Queried name.
        name: String,
    },
    /// SRV records exist, their targets have no address (RFC 6120 §3.2.1: then no fallback).
    #[error("the SRV targets of {name} have no address")]
    NoAddress {
        /// Queried name.
        name: String,
    },
    /// The only SRV target is `.` (RFC 2782).
    #[error("{name} does not federate: the target of its SRV record is \".\"")]
    ServiceDisabled {
        /// Queried name.
        name: String,
    },
    /// No usable answer.
    #[error("the resolver returned no usable answer for {name}: {detail}")]
    ResolverUnavailable {
        /// Queried name.
        name: String,
        /// Response code or error.
        detail: String,
    },
    /// The answer fails DNSSEC validation (RFC 7673 §3).
    #[error(
        "the {records} records of {name} fail DNSSEC validation: signatures or keys are missing, wrong or expired. The zone's administrator must repair it; `delv` shows where validation fails. If a private zone hides a signed public one, set a `route` for the peer, or set `dnssec` to \"Off\""
    )]
    Bogus {
        /// Queried name.
        name: String,
        /// Type of the queried records.
        records: Records,
    },
}

/// Kinds of records that lead to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Records {
    /// SRV.
    Service,
    /// A and AAAA.
    Address,
    /// TLSA.
    Certificate,
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "SRV",
            Self::Address => "address",
            Self::Certificate => "TLSA",
        })
    }
}

impl DnsReason {
    /// The stable word for this reason.
    pub(crate) fn word(&self) -> Word {
        match self {
            Self::DomainNotFound { .. } => Word::DomainNotFound,
            Self::NoAddress { .. } => Word::NoAddress,
            Self::ServiceDisabled { .. } => Word::SrvServiceDisabled,
            Self::ResolverUnavailable { .. } => Word::ResolverUnavailable,
            Self::Bogus { .. } => Word::DnssecBogus,
        }
    }
}
