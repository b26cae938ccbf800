//! The control listener, for the operator: `GET /v1/evidence` (long poll by `ETag`) and `POST /v1/probe`. TLS with a
//! certificate that the operator pins, and a bearer token.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL, ETAG, IF_NONE_MATCH, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::Domain;
use crate::observe::http::{
    CLIENT_TIMEOUT, ClientLimits, HttpResponse, Place, answer, refuse, serve_connections, speak,
    wrong_method,
};
use crate::observe::journal::Journal;

pub use credentials::{Credentials, CredentialsError, Token};

mod credentials;

/// Maximum `?wait=`, below the idle timeouts of proxies and firewalls.
pub const MAX_WAIT: Duration = Duration::from_secs(55);
/// Further changes within this time after a change go into the same answer.
const COALESCE: Duration = Duration::from_millis(200);
const MAX_BODY_BYTES: usize = 4096;

/// State of the control listener.
#[derive(Debug)]
pub struct ControlState {
    journal: Arc<Journal>,
    credentials: watch::Receiver<Option<Arc<Credentials>>>,
    probes: mpsc::Sender<Domain>,
    /// Distinguishes the revisions of this run from those of an earlier one.
    run: u64,
}

impl ControlState {
    /// `credentials` may change at any time; without any, connections are closed. Domains to probe go to `probes`.
    ///
    /// # Errors
    /// When the system random number generator fails.
    pub fn new(
        journal: Arc<Journal>,
        credentials: watch::Receiver<Option<Arc<Credentials>>>,
        probes: mpsc::Sender<Domain>,
    ) -> Result<Self, getrandom::Error> {
        Ok(Self { journal, credentials, probes, run: getrandom::u64()? })
    }

    /// Verified with the current token, so that a rotation also applies to open connections.
    fn accepts(&self, token: &[u8]) -> bool {
        self.credentials.borrow().as_ref().is_some_and(|now| now.token().matches(token))
    }

    fn etag(&self, revision: u64) -> String {
        format!("\"{:016x}-{revision}\"", self.run)
    }
}

/// A client with the token may keep its connection; one that has not presented it makes room.
const CLIENT_LIMITS: ClientLimits = ClientLimits { head_timeout: CLIENT_TIMEOUT, keep_alive: true };

/// Serves until the shutdown.
pub async fn serve(listener: TcpListener, state: Arc<ControlState>, shutdown: CancellationToken) {
    serve_connections(listener, "control", &shutdown, |stream, place| {
        let (state, shutdown) = (Arc::clone(&state), shutdown.clone());
        async move { connection(stream, &state, &shutdown, &place).await }
    })
    .await;
}

async fn connection(
    stream: TcpStream,
    state: &ControlState,
    shutdown: &CancellationToken,
    place: &Place,
) {
    // The credentials in effect when the connection began.
    let Some(credentials) = state.credentials.borrow().clone() else {
        tracing::warn!(
            "control connection closed: the certificate or token of the control port is not loaded"
        );
        return;
    };
    let handshake = TlsAcceptor::from(credentials.tls()).accept(stream);
    let tls = match tokio::time::timeout(CLIENT_TIMEOUT, handshake).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the TLS handshake of a control connection failed");
            return;
        }
        Err(_) => return,
    };
    speak(tls, shutdown, CLIENT_LIMITS, |request| route(state, request, shutdown, place)).await;
}

async fn route(
    state: &ControlState,
    request: Request<Incoming>,
    shutdown: &CancellationToken,
    place: &Place,
) -> HttpResponse {
    let presented = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let token = presented.and_then(|value| value.strip_prefix(b"Bearer "));
    if !token.is_some_and(|token| state.accepts(token)) {
        let mut refused = refuse(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong");
        refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused;
    }
    place.admit();
    match (request.uri().path(), request.method()) {
        ("/v1/evidence", &Method::GET) => {
            let wait = match wait(request.uri().query()) {
                Ok(wait) => wait,
                Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
            };
            evidence(state, request.headers(), wait, shutdown).await
        }
        ("/v1/probe", &Method::POST) => probe(state, request.into_body()).await,
        ("/v1/evidence", _) => wrong_method(&Method::GET),
        ("/v1/probe", _) => wrong_method(&Method::POST),
        _ => refuse(StatusCode::NOT_FOUND, "not found; the paths are /v1/evidence and /v1/probe"),
    }
}

/// `wait=SECONDS` of the query; absent means not to wait.
fn wait(query: Option<&str>) -> Result<Duration, &'static str> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, seconds)) = pairs.find(|(name, _)| *name == "wait") else {
        return Ok(Duration::ZERO);
    };
    let seconds = seconds.parse().map_err(|_| "wait must be a whole number of seconds")?;
    Ok(Duration::from_secs(seconds).min(MAX_WAIT))
}

async fn evidence(
    state: &ControlState,
    headers: &HeaderMap,
    wait: Duration,
    shutdown: &CancellationToken,
) -> HttpResponse {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut revisions = state.journal.subscribe();
    let current = *revisions.borrow_and_update();
    if known == Some(state.etag(current).as_str()) {
        let changed = tokio::select! {
            changed = tokio::time::timeout(wait, revisions.changed()) => matches!(changed, Ok(Ok(()))),
            () = shutdown.cancelled() => false,
        };
        if !changed && !state.journal.settle(Timestamp::now()) {
            let mut unchanged = answer(StatusCode::NOT_MODIFIED, "application/json", "");
            tag(&mut unchanged, &state.etag(current));
            return unchanged;
        }
        shutdown.run_until_cancelled(tokio::time::sleep(COALESCE)).await;
    }
    let (revision, evidence) = state.journal.snapshot();
    let Ok(body) = serde_json::to_vec(&evidence) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "cannot serialise the evidence");
    };
    let mut found = answer(StatusCode::OK, "application/json", body);
    tag(&mut found, &state.etag(revision));
    found
}

fn tag(answer: &mut HttpResponse, etag: &str) {
    if let Ok(value) = HeaderValue::from_str(etag) {
        answer.headers_mut().insert(ETAG, value);
    }
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeRequest {
    peer: Domain,
}

async fn probe(state: &ControlState, body: Incoming) -> HttpResponse {
    let body = Limited::new(body, MAX_BODY_BYTES).collect();
    let body = match tokio::time::timeout(CLIENT_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request body is too large or incomplete",
            );
        }
        Err(_) => {
            return refuse(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time");
        }
    };
    let peer = match serde_json::from_slice(&body) {
        Ok(ProbeRequest { peer }) => peer,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match state.probes.try_send(peer) {
        Ok(()) => answer(StatusCode::ACCEPTED, "application/json", "{}"),
        Err(TrySendError::Full(_)) => {
            refuse(StatusCode::TOO_MANY_REQUESTS, "too many probes are queued; try again later")
        }
        Err(TrySendError::Closed(_)) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the engine is shutting down")
        }
    }
}

#[cfg(test)]
mod tests;
