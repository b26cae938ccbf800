//! Cisco Expressway (VCS): the edge in front of the IM and Presence Service.

use super::wire::{Certificate, Tls, Version, Wire};

/// TLS is required by default. Dialback always runs, and SASL EXTERNAL is not supported. The certificate must contain
/// the domain even if certificates are not checked. Streams are closed after ten idle minutes ([S-3]). Keys have 40
/// hexadecimal digits ([S-4]).
pub const WIRE: Wire = Wire {
    version: Version::One,
    tls: Tls::Required,
    certificate: Certificate::Named,
    announces_dialback: false,
    external: false,
    key_digits: 40,
    closes_idle_streams: true,
};
