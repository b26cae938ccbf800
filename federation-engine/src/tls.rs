//! TLS towards both sides. The handshake only collects the peer's chain and checks that the peer holds its key; which
//! domain the chain proves is judged later, when the stream header has named one (RFC 6120 §13.7.2.1).
//!
//! `judge`, `dane`, `tlsa`, `identity`, `pin` and `sniff` are pure. Certificates of our own live in `certs` (loaded from files) and `mint`
//! (issued on demand for the backend's eyes); `config` makes rustls configurations of them.

pub mod certs;
pub mod chain;
pub mod collect;
pub mod config;
pub mod dane;
pub mod facts;
pub mod handshake;
pub mod identity;
pub mod issue;
pub mod judge;
pub mod mint;
pub mod pin;
pub mod sniff;
pub mod tlsa;
pub mod trust;
mod verdicts;

#[cfg(test)]
pub(crate) mod testing;
