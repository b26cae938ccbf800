//! Who is behind the target, where the suite has somebody there.

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
    /// Takes what the target hands on.
    pub server: Server,
    /// Where the target takes streams of this server.
    pub address: SocketAddr,
    /// What this server presents there.
    pub identity: Identity,
    /// What certificates of the target must lead to there.
    pub roots: Arc<RootCertStore>,
    /// The target's domain.
    pub domain: String,
    /// How long anything may take.
    pub patience: Duration,
}

impl Inside {
    /// A stream on which stanzas to that foreign domain can be sent.
    pub fn stream_to(&self, foreign: &str) -> Result<Stream> {
        let initiator = Initiator {
            address: self.address,
            from: &self.domain,
            to: foreign,
            identity: Some(&self.identity),
            roots: &self.roots,
            security: Security::StartTls,
            patience: self.patience,
        };
        initiator.external()
    }

    /// The next stanza whose id begins so; the target's own come in between.
    pub fn received(&self, id: &str) -> Result<Element> {
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
