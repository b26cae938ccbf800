//! One connection to an engine's control port: `GET /v1/evidence`, which the engine answers when something changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use federation_engine::observe::evidence::EngineEvidence;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsConnector;

/// Time for TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Asks the engine to hold the request for [`HOLD`] if the answer has not changed.
const HELD: &str = "/v1/evidence?wait=15";
/// The time named in [`HELD`].
const HOLD: Duration = Duration::from_secs(15);
/// Largest answer. The engine bounds its own lists; this limit bounds the cost of a faulty engine.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Why an engine's evidence could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// TCP.
    #[error("cannot connect to control port {address}: {source}")]
    Connect {
        /// Address of the control port.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// TLS; a certificate other than the pinned one fails here.
    #[error("the TLS handshake with control port {address} failed: {source}")]
    Tls {
        /// Address of the control port.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// A step timed out.
    #[error("control port {0} timed out")]
    TimedOut(SocketAddr),
    /// HTTP.
    #[error("the connection to the control port broke: {0}")]
    Http(#[from] hyper::Error),
    /// The bearer token is not the one that the engine reads from its file.
    #[error(
        "the control port rejected the token; the engine may not have read the current one yet"
    )]
    Refused,
    /// Any other status code.
    #[error("the control port answered {0}")]
    Status(StatusCode),
    /// The body is not evidence, for example because it comes from another version.
    #[error("the operator cannot parse its evidence: {0}")]
    Malformed(String),
}

/// An open connection.
pub struct Control {
    address: SocketAddr,
    requests: SendRequest<Empty<Bytes>>,
    authorization: HeaderValue,
    etag: Option<HeaderValue>,
}

impl Control {
    /// Connects, without sending a request.
    ///
    /// # Errors
    /// When TCP, TLS or HTTP cannot be established.
    pub async fn open(
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        authorization: HeaderValue,
    ) -> Result<Self, ControlError> {
        let late = |_: Elapsed| ControlError::TimedOut(address);
        let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(late)?
            .map_err(|source| ControlError::Connect { address, source })?;
        let name = ServerName::IpAddress(address.ip().into());
        let stream = timeout(CONNECT_TIMEOUT, TlsConnector::from(tls).connect(name, tcp))
            .await
            .map_err(late)?
            .map_err(|source| ControlError::Tls { address, source })?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        // The task ends when `requests` is dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%address, %error, "control connection closed");
            }
        });
        Ok(Self { address, requests, authorization, etag: None })
    }

    /// The next evidence; `None` if nothing changed while the engine held the request.
    ///
    /// # Errors
    /// When the engine does not answer, rejects the token, or sends something else.
    pub async fn next(&mut self) -> Result<Option<EngineEvidence>, ControlError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = match &self.etag {
            Some(_) => http::Uri::from_static(HELD),
            None => http::Uri::from_static("/v1/evidence"),
        };
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("federation-engine"));
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        if let Some(etag) = &self.etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        let late = |_: Elapsed| ControlError::TimedOut(self.address);
        self.requests.ready().await?;
        let response = timeout(HOLD + CONNECT_TIMEOUT, self.requests.send_request(request))
            .await
            .map_err(late)??;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(ControlError::Refused),
            other => return Err(ControlError::Status(other)),
        }
        let etag = response.headers().get(header::ETAG).cloned();
        let body = timeout(CONNECT_TIMEOUT, Limited::new(response.into_body(), MAX_BODY).collect())
            .await
            .map_err(late)?
            .map_err(|error| ControlError::Malformed(error.to_string()))?
            .to_bytes();
        let evidence = serde_json::from_slice(&body)
            .map_err(|error| ControlError::Malformed(error.to_string()))?;
        self.etag = etag;
        Ok(Some(evidence))
    }
}

impl std::fmt::Debug for Control {
    // The token never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
