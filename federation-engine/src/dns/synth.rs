//! The split-horizon responder for the backend: `_xmpp-server._tcp` of every foreign domain leads to the engine, everything
//! else is asked of the ordinary resolvers. `clients` and `answer` (pure) decide, `cache` (pure) keeps what the resolvers
//! answered, `serve` moves the bytes.
//!
//! Never a wildcard: a `*` would answer `_xmpps-server` as well, and servers would wait for Direct TLS that is not there.

pub mod answer;
mod cache;
pub mod clients;
mod records;
pub mod serve;
mod upstreams;
