//! WebEx Connect 6, later Webex Messenger: encryption without authentication, identity by dialback.

use super::partner::Claim;
use super::wire::{Certificate, Tls, Version, Wire};

/// The other side must be set to "TLS Optional", and must not require client certificates ([S-1], [S-2]).
pub const WIRE: Wire = Wire {
    version: Version::One,
    tls: Tls::Optional,
    certificate: Certificate::Nothing,
    announces_dialback: false,
    external: false,
    key_digits: 40,
    closes_idle_streams: false,
};

/// A domain that is registered with WebEx: the log of the other side shows an unexpected dialback response ([S-1]). No
/// source documents the response on the wire; this is the minimum that XEP-0220 §2.4 allows.
pub const CLAIM: Claim = Claim::Invalid;
