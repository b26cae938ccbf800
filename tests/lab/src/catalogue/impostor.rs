//! Servers that answer in place of an engine pod, on the node: a proxy or another program that has taken the pod's address.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use data_encoding::BASE64;
use s2s_peer::acceptor::Session;
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::element::Element;
use s2s_peer::error::Result as PeerResult;
use s2s_peer::namespace::{DIALBACK_FEATURE, STREAM_ERRORS, TLS};
use s2s_peer::receiving::Receiving;
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use s2s_peer::unverified;

use super::simulated::{self, failed};
use super::stage::{NAME, Stage};
use crate::error::{Error, Result};
use crate::network::Host;

/// Time limit for each answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How the server differs from the engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// It has no STARTTLS.
    NoTls,
    /// It has another certificate for the domain.
    OtherCertificate,
    /// It offers no way to authenticate.
    NoMechanism,
    /// It closes each stream with `internal-server-error`.
    Broken,
}

/// The server.
#[derive(Debug)]
struct Impostor {
    domain: String,
    identity: Identity,
    flaw: Flaw,
}

/// Starts such a server for the domain of the stage. It ends with [`simulated::stop_all`].
pub fn start(stage: &Stage, flaw: Flaw) -> Result<SocketAddr> {
    let domain = stage.domain.clone();
    let identity = match flaw {
        Flaw::OtherCertificate => Authority::self_signed(&[&domain]).map_err(failed)?,
        _ => served(stage)?,
    };
    let address = simulated::free_address(Host::Node);
    let impostor = Impostor { domain, identity, flaw };
    simulated::serve(stage, Host::Node, move || Server::start(address, impostor))?;
    Ok(address)
}

/// The certificate that the engine pods serve.
fn served(stage: &Stage) -> Result<Identity> {
    let secret = stage.get("secret", &format!("{NAME}-tls-serving"))?;
    let text = |key: &str| {
        let value = secret.pointer(&format!("/data/{key}")).and_then(|value| value.as_str());
        let bytes = value.and_then(|value| BASE64.decode(value.as_bytes()).ok());
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            Error::State(format!("Secret {NAME}-tls-serving of {} lacks {key}", stage.namespace))
        })
    };
    Identity::from_pem(&text("tls.crt")?, &text("tls.key")?).map_err(failed)
}

impl Receiving for Impostor {
    fn accept(&self, tcp: TcpStream) -> PeerResult<Option<Session>> {
        let mut stream = Stream::accepted(tcp, TIMEOUT)?;
        if !stream.begins_with_tls()? {
            if self.flaw == Flaw::NoTls {
                let dialback = format!("<dialback xmlns='{DIALBACK_FEATURE}'/>");
                self.greet(&mut stream, &dialback)?;
                return Ok(None);
            }
            let starttls = format!("<starttls xmlns='{TLS}'><required/></starttls>");
            self.greet(&mut stream, &starttls)?;
            stream.expect(TLS, "starttls", "STARTTLS")?;
            stream.send(format!("<proceed xmlns='{TLS}'/>"))?;
        }
        let config = unverified::server_that_asks_for_none(&self.identity)?;
        let mut stream = stream.secured_as_server(config)?;
        match self.flaw {
            Flaw::Broken => {
                self.head(&mut stream)?;
                stream.send(format!(
                    "<stream:error><internal-server-error xmlns='{STREAM_ERRORS}'/></stream:error></stream:stream>"
                ))?;
            }
            Flaw::NoMechanism => self.greet(&mut stream, "")?,
            Flaw::NoTls | Flaw::OtherCertificate => {
                self.greet(&mut stream, &format!("<dialback xmlns='{DIALBACK_FEATURE}'/>"))?;
            }
        }
        // The other side closes the stream.
        let _ = stream.end();
        Ok(None)
    }

    fn dialback(&self, _: &mut Stream, _: &Element, _: &str) -> PeerResult<Option<String>> {
        Ok(None)
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}

impl Impostor {
    fn head(&self, stream: &mut Stream) -> PeerResult<()> {
        let header = stream.header()?;
        let from = header.attribute("from").unwrap_or_default();
        stream.send_header(&self.domain, from, "impostor")
    }

    fn greet(&self, stream: &mut Stream, features: &str) -> PeerResult<()> {
        self.head(stream)?;
        stream.send(format!("<stream:features>{features}</stream:features>"))
    }
}
