//! CUPS 8.x, later the IM and Presence Service, as a partner: one of three modes applies to a whole node ([S-2]).

use super::wire::{Certificate, Tls, Version, Wire};

/// "No TLS". Keys have 40 hexadecimal digits ([S-4]).
pub const NO_TLS: Wire = Wire {
    version: Version::One,
    tls: Tls::Never,
    certificate: Certificate::Nothing,
    announces_dialback: false,
    external: false,
    key_digits: 40,
    closes_idle_streams: false,
};

/// "TLS Optional", with both checkboxes for SASL EXTERNAL cleared and client certificates not required, as the note
/// specifies for WebEx ([S-1]).
pub const TLS_OPTIONAL: Wire = Wire { tls: Tls::Optional, ..NO_TLS };

/// "TLS Required", with client certificates and both checkboxes for SASL EXTERNAL selected ([S-2]).
pub const TLS_REQUIRED: Wire =
    Wire { tls: Tls::Required, certificate: Certificate::Trusted, external: true, ..NO_TLS };

/// "TLS Optional" on a system that supports no version later than TLS 1.0. From memory: no source states the versions
/// that CUPS 8.x supports, or the features that it announces.
pub const OLD_TLS: Wire = Wire { tls: Tls::TooOld, announces_dialback: true, ..NO_TLS };
