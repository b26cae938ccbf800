//! The server behind the target, if the suite runs one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use s2s_peer::authority::Identity;
use s2s_peer::element::Element;
use s2s_peer::error::Result;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::server::{Event, Server};
use s2s_peer::stream::Stream;

/// A server behind the target, which sends and receives for the target's domain.
#[derive(Debug)]
pub struct Inside {
    /// The server that accepts the stanzas that the target forwards.
    pub server: Server,
    /// The address at which the target accepts streams of this server.
    pub address: SocketAddr,
    /// The certificate that this server presents to the target.
    pub identity: Identity,
    /// The roots that certificates of the target must chain to on these streams.
    pub roots: Arc<RootCertStore>,
    /// The target's domain.
    pub domain: String,
    /// Maximum time for each operation.
    pub timeout: Duration,
}

impl Inside {
    /// A stream for stanzas to that remote domain.
    pub fn stream_to(&self, foreign: &str) -> Result<Stream> {
        let initiator = Initiator {
            address: self.address,
            from: &self.domain,
            to: foreign,
            identity: Some(&self.identity),
            roots: &self.roots,
            security: Security::StartTls,
            timeout: self.timeout,
        };
        initiator.external()
    }

    /// The next stanza whose id starts with `id`. The target's own stanzas, which arrive in between, are skipped: they have
    /// random hexadecimal numbers as ids, so `id` must not be one.
    pub fn received(&self, id: &str) -> Result<Element> {
        debug_assert!(!id.chars().all(|digit| digit.is_ascii_hexdigit()), "{id}");
        self.server.wait("a stanza at the inner server", |event| match event {
            Event::Stanza { stanza, .. }
                if stanza.attribute("id").is_some_and(|found| found.starts_with(id)) =>
            {
                Some(stanza)
            }
            _ => None,
        })
    }
}
