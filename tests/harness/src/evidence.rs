//! The evidence of the engine about its peer, from `/v1/evidence`.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConnection, RootCertStore, StreamOwned};
use s2s_peer::tls;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::claim;
use crate::loopback::{DEADLINE, Ground, LoopbackError, PEER};

/// The name in the certificate of the control port.
pub const CONTROL_NAME: &str = "control.example";
/// The token of the control port.
pub const TOKEN: &str = "only for this test, on loopback";

/// Configures the engine to serve the control port. The caller writes the files to the ground: `control.crt`,
/// `control.key` and `token`.
pub fn listen(ground: &Ground, config: &mut Value, control: SocketAddr) {
    let file = |name: &str| ground.path(name).display().to_string();
    let own = json!({
        "address": control.to_string(),
        "certificateFile": file("control.crt"),
        "privateKeyFile": file("control.key"),
        "tokenFile": file("token"),
    });
    if let Some(listen) = config.get_mut("listen").and_then(Value::as_object_mut) {
        listen.insert("control".to_owned(), own);
    }
}

/// The same, with files of a new certificate. Returns the address of the control port.
pub fn serve(ground: &Ground, config: &mut Value) -> Result<SocketAddr, LoopbackError> {
    let control = claim::port()?;
    let identity = ground.authority.issue(&[CONTROL_NAME])?;
    ground.write("control.crt", identity.certificate_pem())?;
    ground.write("control.key", identity.key_pem())?;
    ground.write("token", TOKEN)?;
    listen(ground, config, control);
    Ok(control)
}

/// One direction of the streams with the peer.
#[derive(Debug, Clone, Deserialize)]
pub struct PeerStream {
    /// `Connected`, or the label of the failure.
    pub reason: String,
    /// The encryption of the stream; absent on plain TCP.
    pub tls: Option<TlsFacts>,
    /// The method by which the sender's domain was authenticated.
    pub authentication: Option<String>,
}

/// TLS of a stream.
#[derive(Debug, Clone, Deserialize)]
pub struct TlsFacts {
    /// Direct TLS.
    pub direct: bool,
}

/// The evidence about the peer.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PeerEvidence {
    /// The peer's domain.
    pub domain: String,
    /// The stream from us to the peer.
    pub outbound: Option<PeerStream>,
    /// The stream from the peer to us.
    pub inbound: Option<PeerStream>,
}

#[derive(Debug, Deserialize)]
struct Evidence {
    peers: Vec<PeerEvidence>,
}

/// The evidence about the peer.
pub fn of_peer(
    control: SocketAddr,
    roots: &Arc<RootCertStore>,
) -> Result<PeerEvidence, LoopbackError> {
    let evidence: Evidence = of_all(control, roots)?;
    Ok(evidence.peers.into_iter().find(|peer| peer.domain == PEER).unwrap_or_default())
}

/// The complete evidence, as far as `T` deserializes it.
pub fn of_all<T: DeserializeOwned>(
    control: SocketAddr,
    roots: &Arc<RootCertStore>,
) -> Result<T, LoopbackError> {
    let config = tls::client(None, roots, false)?;
    let asking =
        |error: io::Error| io::Error::new(error.kind(), format!("asking for evidence: {error}"));
    let session = ClientConnection::new(config, tls::server_name(CONTROL_NAME)?)
        .map_err(s2s_peer::error::PeerError::from)?;
    let tcp = TcpStream::connect_timeout(&control, DEADLINE).map_err(asking)?;
    tcp.set_read_timeout(Some(DEADLINE)).map_err(asking)?;
    let mut connection = StreamOwned::new(session, tcp);
    write!(
        connection,
        "GET /v1/evidence HTTP/1.1\r\nHost: {CONTROL_NAME}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    )
    .map_err(asking)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map_err(asking)?;
    let body = answer
        .strip_prefix("HTTP/1.1 200 ")
        .and_then(|answer| answer.split_once("\r\n\r\n"))
        .map(|(_, body)| body)
        .ok_or_else(|| LoopbackError::Evidence(answer.clone()))?;
    serde_json::from_str(body).map_err(|error| LoopbackError::Evidence(format!("{error}: {body}")))
}
