//! The HTTP client of the exporter: one connection for each batch, on the runtime of the program.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crds::target::{RouteHost, RouteTarget};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Time limit for sending one batch, including the lookup and the connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer of a collector that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends batches to one collector.
#[derive(Debug)]
pub(super) struct Client {
    collector: RouteTarget,
    /// The thread of the exporter has no runtime of its own.
    runtime: Handle,
    /// The last batch was lost. Reported once, not for each batch.
    fails: AtomicBool,
}

/// Why a batch was lost.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("no answer within {SEND_TIMEOUT:?}")]
    TimedOut,
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("cannot read its answer: {0}")]
    Answer(Box<dyn std::error::Error + Send + Sync>),
    #[error("it answered {0}")]
    Refused(http::StatusCode),
    #[error("the program ends")]
    Ended,
}

impl Client {
    /// A client on the current runtime.
    pub(super) fn new(collector: RouteTarget) -> Self {
        Self { collector, runtime: Handle::current(), fails: AtomicBool::new(false) }
    }

    fn report(&self, outcome: &Result<Response<Bytes>, SendError>) {
        let error = match outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(SendError::Refused(answer.status()).to_string()),
            Err(error) => Some(error.to_string()),
        };
        let failed = self.fails.swap(error.is_some(), Ordering::Relaxed);
        let collector = &self.collector;
        match error {
            Some(error) if !failed => {
                tracing::warn!(%collector, %error, "cannot export traces; spans are lost until the collector answers");
            }
            None if failed => tracing::info!(%collector, "the collector of traces answers again"),
            _ => {}
        }
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'sending>(
        &'client self,
        request: Request<Bytes>,
    ) -> BoxFuture<'sending, Result<Response<Bytes>, HttpError>>
    where
        'client: 'sending,
        Self: 'sending,
    {
        let sent = send(self.collector.clone(), request);
        // A timer needs the runtime, and the thread of the exporter is not within it.
        let sent = self.runtime.spawn(async { timeout(SEND_TIMEOUT, sent).await });
        Box::pin(async move {
            let outcome = match sent.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(SendError::TimedOut),
                Err(_) => Err(SendError::Ended),
            };
            self.report(&outcome);
            Ok(outcome?)
        })
    }
}

async fn send(
    collector: RouteTarget,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, SendError> {
    let port = collector.port.get();
    let tcp = match &collector.host {
        RouteHost::Address(address) => TcpStream::connect((*address, port)).await?,
        RouteHost::Name(name) => TcpStream::connect((name.to_ascii(), port)).await?,
    };
    let (mut requests, connection) = handshake(TokioIo::new(tcp)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let (mut head, body) = request.into_parts();
    // A server expects the path alone, and the host in its header (RFC 9112 §3.2.1).
    head.uri = head.uri.path().parse().unwrap_or_default();
    if let Ok(host) = HeaderValue::from_str(&collector.to_string()) {
        head.headers.insert(header::HOST, host);
    }
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let answer =
        requests.send_request(Request::from_parts(head, Full::<Bytes>::from(body))).await?;
    let (head, body) = answer.into_parts();
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) => Err(SendError::Answer(error)),
    }
}
