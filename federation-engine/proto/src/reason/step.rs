//! How far an attempt to reach a peer came.

use serde::{Deserialize, Serialize};

/// How far an attempt to reach a peer came.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
pub enum Step {
    /// Our own policy.
    Policy,
    /// Lookup of the SRV records.
    #[serde(rename = "SRV")]
    Srv,
    /// Lookup of addresses.
    Address,
    /// TCP connection.
    #[serde(rename = "TCP")]
    Tcp,
    /// Stream headers and features.
    Stream,
    /// TLS and the peer's certificate.
    #[serde(rename = "TLS")]
    Tls,
    /// SASL EXTERNAL or dialback.
    Authentication,
    /// Everything is negotiated.
    Established,
}
