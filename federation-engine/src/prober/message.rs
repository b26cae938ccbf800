//! What operator and prober say to each other: facts, never verdicts. A report that a user makes (`crds::probe_report`) has
//! the same words.

use std::net::{IpAddr, SocketAddr};

use crds::xmpp::StreamCondition;
use serde::{Deserialize, Serialize};

use crate::Domain;

/// The path of the request.
pub const PATH: &str = "/v1/probe";
/// Most domains of a request.
pub const MAX_DOMAINS: usize = 32;
/// Most addresses of a request.
pub const MAX_ADDRESSES: usize = 16;
/// Most results of an answer: every domain at the first address, one at every other one, on both ports.
pub const MAX_RESULTS: usize = 2 * (MAX_DOMAINS + MAX_ADDRESSES);

/// Where to connect, and for which domains.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbeRequest {
    /// Random text, which the answer repeats: an earlier answer is no answer.
    pub nonce: String,
    /// The `to` of the streams.
    pub domains: Vec<Domain>,
    /// Addresses to connect to; none: those that the prober's resolver has for `host`.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Name of the address records.
    pub host: Domain,
    /// Port with STARTTLS.
    pub s2s: u16,
    /// Port with Direct TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s2s_tls: Option<u16>,
}

/// The results.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeAnswer {
    /// The nonce of the request.
    pub nonce: String,
    /// One for each stream.
    pub results: Vec<OutsideResult>,
}

/// One stream that was opened from outside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutsideResult {
    /// Where the prober connected; absent if the host has no address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The `to` of the stream.
    pub domain: Domain,
    /// How the stream is secured.
    pub mode: OutsideMode,
    /// How far it came.
    #[serde(flatten)]
    pub outcome: OutsideOutcome,
}

/// How a stream is secured.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum OutsideMode {
    /// RFC 6120 §5.
    #[serde(rename = "STARTTLS")]
    StartTls,
    /// XEP-0368.
    #[serde(rename = "DirectTLS")]
    DirectTls,
}

impl OutsideMode {
    /// The stable word.
    pub const fn label(self) -> &'static str {
        match self {
            Self::StartTls => "STARTTLS",
            Self::DirectTls => "Direct TLS",
        }
    }
}

/// How far a stream from outside came, in the order of the steps.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all_fields = "camelCase")]
pub enum OutsideOutcome {
    /// The host has no address for the prober.
    NoAddress {
        /// What the resolver reports.
        detail: String,
    },
    /// The prober does not connect to such addresses.
    NotAllowed {
        /// The address and its kind.
        detail: String,
    },
    /// TCP reset in answer to SYN.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The prober has no route to the address.
    NoRoute,
    /// Any other failure to connect, in the words of the operating system.
    ConnectFailed {
        /// The words.
        detail: String,
    },
    /// TCP was established, and was reset or closed before the stream was.
    Reset {
        /// The step at which it ended.
        detail: String,
    },
    /// TCP was established, and the stream was not in time.
    Stalled {
        /// What the prober waited for.
        detail: String,
    },
    /// The answer is not an XMPP stream.
    NotXmpp {
        /// What arrived instead.
        detail: String,
    },
    /// The first features do not offer STARTTLS.
    StartTlsNotOffered,
    /// The TLS handshake failed.
    HandshakeFailed {
        /// The error of the TLS library, or the alert.
        detail: String,
    },
    /// The server closed the stream with an error.
    StreamError {
        /// RFC 6120 §4.9.3.
        condition: StreamCondition,
        /// The server's own words.
        text: String,
    },
    /// The server sent features on the secured stream.
    Reached {
        /// Such as `TLSv1.3`.
        tls: String,
        /// SHA-256 of the leaf, hex.
        certificate: String,
        /// Names in the certificate.
        names: Vec<String>,
    },
}
