//! The split-horizon responder for the backend: `_xmpp-server._tcp` of every remote domain points to the engine, and
//! everything else is forwarded to the ordinary resolvers. `clients` and `answer` (pure) decide, `cache` (pure) caches
//! the resolvers' answers, `serve` does the I/O.
//!
//! Never a wildcard: a `*` would answer `_xmpps-server` as well, and servers would wait for Direct TLS that is not
//! offered.

pub mod answer;
mod cache;
pub mod clients;
mod records;
pub mod serve;
mod upstreams;
