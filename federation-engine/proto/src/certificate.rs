//! Verification of a peer's certificates (RFC 6120 §13.7.2, RFC 6125, RFC 7673). The TLS handshake only shows that the
//! peer holds the key of the first one; the chain is verified later, when the stream header has named a domain.

pub mod chain;
pub mod dane;
pub mod facts;
pub mod identity;
pub mod judge;
pub mod pin;
pub mod tlsa;
pub mod trust;
mod verdicts;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
