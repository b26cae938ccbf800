//! TLS towards both sides. The handshake only collects the peer's chain and checks that the peer holds its key.
//! `s2s_proto::certificate` verifies later which domain the chain authenticates (RFC 6120 §13.7.2.1).
//!
//! Our own certificates are in `certs` (loaded from files) and `mint` (issued on demand for the backend); `config`
//! makes rustls configurations of them.

pub mod certs;
pub mod config;
pub mod handshake;
pub mod holds_key;
pub mod issue;
pub mod mint;
pub mod roots;
pub mod sniff;
