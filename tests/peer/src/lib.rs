//! Scripted XMPP servers for tests and benchmarks. They conform to RFC 6120, XEP-0178, XEP-0220 and XEP-0368 on the
//! wire. They use blocking sockets, one thread per connection, and a deadline for every wait.
//!
//! [`initiator::Initiator`] opens streams, and [`acceptor::Acceptor`] negotiates accepted ones. [`server::Server`] is
//! both a listener and a channel of events. [`nameserver::Nameserver`] publishes their addresses in DNS.

pub mod acceptor;
pub mod authority;
pub mod component;
pub mod dialback;
pub mod element;
pub mod error;
pub mod expiring;
pub mod initiator;
pub mod listener;
pub mod nameserver;
pub mod namespace;
pub mod partners;
pub mod receiving;
pub mod redirecting;
pub mod server;
pub mod signer;
pub mod stream;
pub mod tls;
pub mod transport;
pub mod unverified;
