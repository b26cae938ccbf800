//! Where a server under test takes what its own people send.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use s2s_peer::authority::Identity;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::stream::Stream;

use super::error::{BenchError, Result};
use super::load::RECEIVER;
use super::subject::MAX_SILENCE;

/// Who is behind it. Both are encrypted and proven before anything is measured.
#[derive(Debug)]
pub enum Inside {
    /// A backend, which opens a stream for each foreign domain, as servers do.
    Backend(Backend),
    /// A client, which has one stream for all.
    Client(Stream),
}

/// A backend and the streams that it has opened.
#[derive(Debug)]
pub struct Backend {
    /// Where the server under test takes its streams.
    pub address: SocketAddr,
    /// Its certificate.
    pub identity: Identity,
    /// What the server under test presents leads to these.
    pub roots: Arc<RootCertStore>,
    /// Kept, so that no closing falls into what is measured.
    pub opened: Vec<Stream>,
}

impl Inside {
    /// A stream that takes stanzas to that domain.
    pub fn stream_to(&mut self, domain: &str) -> Result<&mut Stream> {
        match self {
            Self::Client(stream) => Ok(stream),
            Self::Backend(backend) => backend.open(domain),
        }
    }
}

impl Backend {
    fn open(&mut self, domain: &str) -> Result<&mut Stream> {
        let initiator = Initiator {
            address: self.address,
            from: RECEIVER,
            to: domain,
            identity: Some(&self.identity),
            roots: &self.roots,
            security: Security::StartTls,
            patience: MAX_SILENCE,
        };
        let stream = initiator.external().map_err(BenchError::peer("stream of the backend"))?;
        Ok(self.opened.push_mut(stream))
    }
}
