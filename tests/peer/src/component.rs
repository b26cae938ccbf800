//! A scripted component (XEP-0114 §3): it opens a stream to a server and authenticates by a shared secret.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use rustls::ClientConfig;
use sha1::{Digest as _, Sha1};

use super::error::{PeerError, Result};
use super::namespace::{COMPONENT, STREAMS};
use super::stream::Stream;

/// The server, our domain and the secret.
#[derive(Debug, Clone)]
pub struct Component<'a> {
    /// The address at which the server listens for components.
    pub address: SocketAddr,
    /// Our domain.
    pub domain: &'a str,
    /// The shared secret.
    pub secret: &'a str,
    /// TLS from the first byte, and the name that the certificate must have; none: plain TCP.
    pub tls: Option<(Arc<ClientConfig>, &'a str)>,
    /// Maximum time for each answer.
    pub timeout: Duration,
}

impl Component<'_> {
    /// A stream on which both headers are exchanged, and the ID that the server gave it.
    pub fn open(&self) -> Result<(Stream, String)> {
        let mut stream = Stream::connect(self.address, self.timeout)?;
        if let Some((config, name)) = &self.tls {
            stream = stream.secured_as_client(Arc::clone(config), name)?;
        }
        stream.send(format!(
            "<?xml version='1.0'?><stream:stream xmlns='{COMPONENT}' xmlns:stream='{STREAMS}' to='{}'>",
            self.domain
        ))?;
        let header = stream.header()?;
        let id = header.attribute("id").unwrap_or_default().to_owned();
        Ok((stream, id))
    }

    /// An authenticated stream.
    ///
    /// # Errors
    /// With the stream error, if the server refuses it.
    pub fn connect(&self) -> Result<Stream> {
        let (mut stream, id) = self.open()?;
        let handshake = Sha1::new().chain_update(id).chain_update(self.secret).finalize();
        stream.send(format!("<handshake>{}</handshake>", HEXLOWER.encode(&handshake)))?;
        let answer = "the answer to the handshake";
        stream.expect(COMPONENT, "handshake", answer)?;
        Ok(stream)
    }

    /// The condition with which the server refuses the stream.
    pub fn refusal(&self) -> Result<String> {
        match self.connect() {
            Err(PeerError::Stream { condition, .. }) => Ok(condition),
            Err(error) => Err(error),
            Ok(_) => Err(PeerError::Script("the server accepted the component".to_owned())),
        }
    }
}
