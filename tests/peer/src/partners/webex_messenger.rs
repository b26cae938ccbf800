//! WebEx Connect 6, later Webex Messenger: encryption without identities, identity by dialback.

use super::partner::Claim;
use super::wire::{Certificate, Tls, Version, Wire};

/// The other side is set to "TLS Optional", and must not require certificates of clients ([S-1], [S-2]).
pub const WIRE: Wire = Wire {
    version: Version::One,
    tls: Tls::Optional,
    certificate: Certificate::Nothing,
    announces_dialback: false,
    external: false,
    key_digits: 40,
    closes_idle_streams: false,
};

/// A domain that is registered with WebEx: the log of the other side shows an unexpected dialback response ([S-1]). How it
/// looks on the wire is in none of the sources; this is the least that XEP-0220 §2.4 allows for.
pub const CLAIM: Claim = Claim::Invalid;
