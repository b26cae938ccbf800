//! The small HTTP/1.1 server of the engine's two ports and of the operator's port. Connections, header bytes and time
//! are bounded.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept;
use crate::observe::visitors::Visitors;

/// Maximum connections at once on one listener. For a further one, the oldest connection that has not been admitted
/// makes room. If all have been admitted, the new one waits in the backlog.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Timeout of each of: the head of a request, the TLS handshake, and a request's body.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 32;
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Limits for a client that cannot authenticate: it gets one answer, within a short time.
const READ_LIMITS: ClientLimits =
    ClientLimits { head_timeout: Duration::from_secs(2), keep_alive: false };
/// Timeout of the whole connection of such a client, so that nothing waits for a client that does not read its answer.
const READ_CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The media type of plain text.
pub const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
/// The media type of the output of `prometheus-client`.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The answer to a request, with its whole body.
pub type HttpResponse = Response<Full<Bytes>>;

/// A connection's place on its listener; dropping it releases the place.
pub(crate) struct Place {
    visitors: Arc<Shared>,
    number: u64,
    cancelled: CancellationToken,
}

#[derive(Default)]
struct Shared {
    visitors: Mutex<Visitors<CancellationToken>>,
    left: Notify,
}

impl Shared {
    fn visitors(&self) -> MutexGuard<'_, Visitors<CancellationToken>> {
        // No code that can panic runs under this lock.
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The client has authenticated: it keeps its place until it disconnects.
    pub(crate) fn admit(&self) {
        self.visitors.visitors().admit(self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.visitors.visitors().leave(self.number);
        self.visitors.left.notify_one();
    }
}

/// Accepts until the shutdown, then waits for the open connections.
pub(crate) async fn serve_connections<F>(
    listener: TcpListener,
    name: &str,
    shutdown: &CancellationToken,
    connection: impl Fn(TcpStream, Arc<Place>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::new(Shared::default());
    let tasks = TaskTracker::new();
    while let Some((stream, _)) = shutdown.run_until_cancelled(accept::next(&listener, name)).await
    {
        let evicted = shared.visitors().make_room(MAX_CONNECTIONS);
        if let Some(evicted) = evicted {
            evicted.cancel();
        }
        while shared.visitors().is_full(MAX_CONNECTIONS) {
            if shutdown.run_until_cancelled(shared.left.notified()).await.is_none() {
                break;
            }
        }
        let cancelled = CancellationToken::new();
        let number = shared.visitors().arrive(cancelled.clone());
        let place = Arc::new(Place { visitors: Arc::clone(&shared), number, cancelled });
        let handled = connection(stream, Arc::clone(&place));
        tasks.spawn(async move {
            place.cancelled.run_until_cancelled(handled).await;
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Limits of a listener for its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    /// Time for the head of a request.
    pub(crate) head_timeout: Duration,
    /// Whether a connection stays open after an answer.
    pub(crate) keep_alive: bool,
}

/// Serves HTTP/1.1 on a connection until it closes; on shutdown, the request in progress is still answered.
pub(crate) async fn speak<F>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shutdown: &CancellationToken,
    limits: ClientLimits,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = HttpResponse>,
{
    let service = service_fn(|request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .keep_alive(limits.keep_alive)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

/// Serves a port whose clients cannot authenticate and only read: plain HTTP, GET and HEAD, one answer for each
/// connection. `respond` gets the path. No connection is ever admitted. The oldest makes room for the next, so that the
/// port answers regardless of the number of silent clients.
///
/// Accepts until the shutdown, then waits for the open connections.
pub async fn serve_reads<R>(
    listener: TcpListener,
    name: &str,
    shutdown: &CancellationToken,
    respond: R,
) where
    R: Fn(&str) -> HttpResponse + Clone + Send + Sync + 'static,
{
    serve_connections(listener, name, shutdown, |stream, _place| {
        let (respond, shutdown) = (respond.clone(), shutdown.clone());
        async move {
            let spoken = speak(stream, &shutdown, READ_LIMITS, |request| {
                std::future::ready(match *request.method() {
                    Method::GET | Method::HEAD => respond(request.uri().path()),
                    _ => wrong_method(&Method::GET),
                })
            });
            if tokio::time::timeout(READ_CONNECTION_TIMEOUT, spoken).await.is_err() {
                tracing::debug!("an HTTP client did not read its answer in time");
            }
        }
    })
    .await;
}

/// An answer with a body.
pub fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> HttpResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A refusal with its reason.
pub(crate) fn refuse(status: StatusCode, why: &str) -> HttpResponse {
    let body = serde_json::json!({ "error": why }).to_string();
    answer(status, "application/json", body)
}

/// 405 with the permitted method.
pub(crate) fn wrong_method(allowed: &Method) -> HttpResponse {
    let mut response =
        refuse(StatusCode::METHOD_NOT_ALLOWED, &format!("method not allowed; use {allowed}"));
    if let Ok(value) = HeaderValue::from_str(allowed.as_str()) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}
