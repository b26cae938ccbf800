//! Prosody as a server under test: its clients send, and count the arriving stanzas.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::claim;
use harness::launch::prosody::{SETTINGS, account, housing, program, resolver};
use harness::launch::{Launch, Running};
use s2s_peer::error::{PeerError, Result as PeerResult};
use s2s_peer::namespace::{BIND, CLIENT, SASL};
use s2s_peer::stream::Stream;
use s2s_peer::tls;

use super::error::{BenchError, Result};
use super::inside::Inside;
use super::load::{RECEIVER, RECIPIENT};
use super::sink::Sink;
use super::subject::{Certificates, MAX_SILENCE, Place, Subject};

const PASSWORD: &str = "a password on loopback";

/// A running Prosody, which ends when this is dropped.
#[derive(Debug)]
pub struct Prosody {
    clients: SocketAddr,
    running: Running,
    /// Prosody as a server under test.
    pub subject: Subject,
}

impl Prosody {
    /// Starts it on the files of `root`, with all of its output files below `directory`, and logs in a client that
    /// counts.
    pub fn start(
        root: &Path,
        directory: &Path,
        certificates: &Certificates,
        place: Place,
    ) -> Result<Self> {
        let clients = claim::port().map_err(BenchError::io("finding a port for", "Prosody"))?;
        let file = |name: &str, content: &str| (name.to_owned(), content.to_owned());
        let launch = Launch {
            files: vec![
                file(SETTINGS, &config(place, clients.port())),
                file("ca.crt", &certificates.authority.certificate_pem()),
                file("local.crt", certificates.local.certificate_pem()),
                file("local.key", certificates.local.key_pem()),
                account(RECIPIENT, RECEIVER, PASSWORD),
            ],
            programs: vec![program(vec![place.address, clients])],
        };
        let running = launch.start(root, directory)?;
        let subject = Subject {
            name: "Prosody",
            address: place.address,
            pid: running.pid(),
            sink: Sink::default(),
        };
        let prosody = Self { clients, running, subject };
        let mut counting = prosody.log_in(certificates)?;
        show(&mut counting).map_err(|failure| prosody.failed(&failure))?;
        prosody.subject.sink.drain(counting);
        Ok(prosody)
    }

    /// A client that sends.
    pub fn inside(&self, certificates: &Certificates) -> Result<Inside> {
        Ok(Inside::Client(self.log_in(certificates)?))
    }

    fn log_in(&self, certificates: &Certificates) -> Result<Stream> {
        log_in(self.clients, certificates).map_err(|failure| self.failed(&failure))
    }

    fn failed(&self, failure: &PeerError) -> BenchError {
        BenchError::State(format!("Prosody's client: {failure}\n{}", self.running.log()))
    }
}

/// The configuration of a server that federates with certificates, and by dialback on request. It uses TLS on both
/// sides, as the engine does.
fn config(place: Place, clients: u16) -> String {
    let housing = housing(IpAddr::V4(Ipv4Addr::LOCALHOST), "warn");
    let resolver = resolver(place.resolver);
    let servers = place.address.port();
    format!(
        r#"{housing}{resolver}s2s_ports = {{ {servers} }}
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ {clients} }}
c2s_direct_tls_ssl = {{ certificate = "/run/local.crt", key = "/run/local.key" }}
authentication = "internal_plain"
modules_enabled = {{ "saslauth", "tls", "dialback", "roster" }}
s2s_require_encryption = true
s2s_secure_auth = true
s2s_ssl = {{ cafile = "/run/ca.crt"; capath = "/nonexistent" }}
VirtualHost "{RECEIVER}"
  ssl = {{ certificate = "/run/local.crt", key = "/run/local.key" }}
"#
    )
}

/// RFC 6120 §6 and §7 from the client's side, over Direct TLS.
fn log_in(address: SocketAddr, certificates: &Certificates) -> PeerResult<Stream> {
    let config = tls::client(None, &certificates.authority.roots()?, false)?;
    let mut stream = Stream::connect(address, MAX_SILENCE)?.secured_as_client(config, RECEIVER)?;
    stream.send_header_in(CLIENT, "", RECEIVER, "")?;
    stream.header()?;
    stream.features()?;
    let plain = BASE64_STANDARD.encode(format!("\0{RECIPIENT}\0{PASSWORD}"));
    stream.send(format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"))?;
    stream.expect(SASL, "success", "the answer to SASL PLAIN")?;
    stream = stream.restarted();
    stream.send_header_in(CLIENT, "", RECEIVER, "")?;
    stream.header()?;
    stream.features()?;
    stream.send(format!("<iq type='set' id='bind'><bind xmlns='{BIND}'/></iq>"))?;
    let bound = stream.expect(CLIENT, "iq", "the answer to the binding of a resource")?;
    if bound.attribute("type") != Some("result") {
        return Err(PeerError::unexpected("the binding of a resource", &bound));
    }
    Ok(stream)
}

/// Makes the server deliver messages to the client (RFC 6121 §4.2). This is effective when the server returns the
/// client's own presence.
fn show(client: &mut Stream) -> PeerResult<()> {
    client.send("<presence/>")?;
    client.expect(CLIENT, "presence", "our own presence").map(drop)
}
