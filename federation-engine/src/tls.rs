//! TLS towards both sides. The handshake only collects the peer's chain and checks that the peer holds its key; which
//! domain the chain proves is judged later by `s2s_proto::certificate` (RFC 6120 §13.7.2.1).
//!
//! Certificates of our own live in `certs` (loaded from files) and `mint` (issued on demand for the backend's eyes); `config`
//! makes rustls configurations of them.

pub mod certs;
pub mod config;
pub mod handshake;
pub mod holds_key;
pub mod issue;
pub mod mint;
pub mod roots;
pub mod sniff;
