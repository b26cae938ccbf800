//! Google Talk until 2017: TCP only, dialback only, five targets in DNS.

use super::partner::Claim;
use super::wire::{Certificate, Tls, Version, Wire};

/// No TLS and no SASL between servers ([S-10], [S-11]). To other servers its streams looked like those from before
/// version 1.0 ([S-25]).
pub const WIRE: Wire = Wire {
    version: Version::None,
    tls: Tls::Never,
    certificate: Certificate::Nothing,
    announces_dialback: false,
    external: false,
    key_digits: 64,
    closes_idle_streams: false,
};

/// Priority and host of each target of `_xmpp-server._tcp` ([S-23]), with an example domain in place of Google's.
pub const TARGETS: [(u16, &str); 5] = [
    (5, "xmpp-server.l.google.example"),
    (20, "xmpp-server1.l.google.example"),
    (20, "xmpp-server2.l.google.example"),
    (20, "xmpp-server3.l.google.example"),
    (20, "xmpp-server4.l.google.example"),
];

/// Google claims every domain that has a Google Apps subscription ([S-11], [S-26]). The wording is from memory.
pub const CLAIM: Claim = Claim::StreamError("{} is a Google Apps Domain with Talk service enabled");
