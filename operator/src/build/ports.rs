//! Ports of the engine's container, and those under which the Services offer them.

/// Outer leg with STARTTLS (RFC 6120 §14.9); the same outside.
pub const S2S: u16 = 5269;
/// Outer leg with Direct TLS (XEP-0368); the same outside.
pub const S2S_TLS: u16 = 5270;
/// Inner leg; the Service for the backend offers it as [`S2S`].
pub const BACKEND: u16 = 15_269;
/// Components (XEP-0114); the same for the Service.
pub const COMPONENT: u16 = 5347;
/// Split-horizon DNS: above 1024, so that the container needs no capability; the Service offers it as [`DNS_SERVICE`].
pub const DNS: u16 = 5353;
/// The standard DNS port.
pub const DNS_SERVICE: u16 = 53;
/// `/livez`, `/readyz` and `/metrics`.
pub const ADMIN: u16 = 9090;
/// `/v1/evidence`.
pub const CONTROL: u16 = 9443;
