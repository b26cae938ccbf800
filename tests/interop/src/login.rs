//! A client of the real server: it sends one message and reports the stanzas that it receives.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::loopback::{DEADLINE, PEER};
use s2s_peer::error::{PeerError, Result};
use s2s_peer::namespace::{BIND, CLIENT, SASL};
use s2s_peer::stream::Stream;

/// The client's account.
pub(crate) const USER: &str = "romeo";
/// Its password, on loopback.
pub(crate) const PASSWORD: &str = "wherefore";
/// The resource that it requests.
const RESOURCE: &str = "garden";

/// A client that may send, and its full address.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its stream.
    pub stream: Stream,
    /// The address that the server bound.
    pub address: String,
}

/// RFC 6120 §6 and §7, RFC 6121 §3 and §4.2, in the clear: it is loopback, and the tests are about streams between
/// servers.
pub(crate) fn log_in(server: SocketAddr) -> Result<Client> {
    let mut stream = Stream::connect(server, DEADLINE)?;
    stream.send_header_in(CLIENT, "", PEER, "")?;
    stream.header()?;
    let features = stream.features()?;
    let offers = |mechanism: &str| {
        features
            .child(SASL, "mechanisms")
            .is_some_and(|list| list.children.iter().any(|one| one.text == mechanism))
    };
    // jabberd2 supports PLAIN only with a database.
    let auth = if offers("PLAIN") {
        let plain = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
        format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>")
    } else {
        format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>")
    };
    stream.send(auth)?;
    stream.expect(SASL, "success", "the answer to SASL")?;
    stream = stream.restarted();
    stream.send_header_in(CLIENT, "", PEER, "")?;
    stream.header()?;
    stream.features()?;
    stream.send(format!(
        "<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{RESOURCE}</resource></bind></iq>"
    ))?;
    let bound = stream.expect(CLIENT, "iq", "the answer to the binding of a resource")?;
    let address = bound
        .child(BIND, "bind")
        .and_then(|bind| bind.child(BIND, "jid"))
        .map(|jid| jid.text.clone())
        .ok_or_else(|| PeerError::unexpected("the binding of a resource", &bound))?;
    // Stanzas are processed in order (RFC 6120 §10.1): after the answer to the ping, messages to us are delivered.
    stream.send("<presence/><iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    loop {
        let stanza = stream.element("the answer to a ping of the server")?;
        if stanza.attribute("id") == Some("ping") {
            return Ok(Client { stream, address });
        }
    }
}
