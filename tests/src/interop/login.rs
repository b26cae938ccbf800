//! A client of the real server: it sends one message and tells what it gets.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::loopback::{PATIENCE, PEER};
use crate::peer::error::{PeerError, Result};
use crate::peer::namespace::{BIND, CLIENT, SASL};
use crate::peer::stream::Stream;

/// The client's account.
pub const USER: &str = "romeo";
/// Its password, on loopback.
pub const PASSWORD: &str = "wherefore";
/// The resource that it asks for.
const RESOURCE: &str = "garden";

/// A client that may send, and its full address.
#[derive(Debug)]
pub struct Client {
    /// Its stream.
    pub stream: Stream,
    /// The address that the server bound.
    pub address: String,
}

/// RFC 6120 §6 and §7, RFC 6121 §3 and §4.2, in the clear: it is loopback, and what is tested is between servers.
pub fn log_in(server: SocketAddr) -> Result<Client> {
    let mut stream = Stream::connect(server, PATIENCE)?;
    stream.send_header_in(CLIENT, "", PEER, "")?;
    stream.header()?;
    stream.features()?;
    let plain = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    stream.send(format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"))?;
    stream.expect(SASL, "success", "the answer to SASL PLAIN")?;
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
    // Only the session of RFC 3921 §3, which is what jabberd2 knows, makes the address reachable there.
    stream.send(
        "<iq type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
    )?;
    stream.expect(CLIENT, "iq", "the answer to the start of a session")?;
    // The server sends our own presence back: then it will deliver messages to us.
    stream.send("<presence/>")?;
    loop {
        let stanza = stream.element("our own presence")?;
        if stanza.is(CLIENT, "presence") {
            return Ok(Client { stream, address });
        }
    }
}
