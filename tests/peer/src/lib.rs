//! Scripted XMPP servers for tests and benchmarks: correct on the wire (RFC 6120, XEP-0178, XEP-0220, XEP-0368), on
//! blocking sockets, one thread per connection, with a deadline on everything that is awaited.
//!
//! [`initiator::Initiator`] opens streams, [`acceptor::Acceptor`] negotiates accepted ones, [`server::Server`] is both a
//! listener and a channel of what happened, [`nameserver::Nameserver`] lets others find them.

pub mod acceptor;
pub mod authority;
pub mod dialback;
pub mod element;
pub mod error;
pub mod expiring;
pub mod initiator;
pub mod listener;
pub mod nameserver;
pub mod namespace;
pub mod partners;
mod receiving;
pub mod redirecting;
pub mod server;
pub mod signer;
pub mod stream;
pub mod tls;
pub mod transport;
pub mod unverified;
