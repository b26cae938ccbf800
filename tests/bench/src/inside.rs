//! The inner side of a server under test, where its own users send.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use s2s_peer::authority::Identity;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::stream::Stream;

use super::error::{BenchError, Result};
use super::load::RECEIVER;
use super::subject::MAX_SILENCE;

/// The sender on the inner side. It is encrypted and authenticated before the measurement begins.
#[derive(Debug)]
pub enum Inside {
    /// A backend, which opens a stream for each remote domain, as servers do.
    Backend(Backend),
    /// A client, which uses one stream for all domains.
    Client(Stream),
}

/// A backend and the streams that it has opened.
#[derive(Debug)]
pub struct Backend {
    /// Address where the server under test accepts its streams.
    pub address: SocketAddr,
    /// Its certificate.
    pub identity: Identity,
    /// The roots of the certificate that the server under test presents.
    pub roots: Arc<RootCertStore>,
    /// Kept open, so that no stream closes during the measurement.
    pub opened: Vec<Stream>,
}

impl Inside {
    /// A stream that accepts stanzas to that domain.
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
            timeout: MAX_SILENCE,
        };
        let stream = initiator.external().map_err(BenchError::peer("stream of the backend"))?;
        Ok(self.opened.push_mut(stream))
    }
}
