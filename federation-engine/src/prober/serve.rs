//! The prober's listener: `POST /v1/probe` over TLS. Only signed requests cause connections.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use s2s_proto::guard::Guard;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::message::{MAX_ADDRESSES, MAX_DOMAINS, PATH, ProbeAnswer, ProbeRequest};
use super::signature::{HEADER, Kind, MIN_TOKEN, Token};
use super::visit::visit;
use crate::Domain;
use crate::observe::http::{
    CLIENT_TIMEOUT, ClientLimits, HttpResponse, Place, answer, refuse, serve_connections, speak,
    wrong_method,
};
use crate::tls::config::provider;
use crate::tls::issue::{self, IssueError, PemPair};

/// Requests that are served at once.
const MAX_REQUESTS: usize = 8;
const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_NONCE: usize = 64;
/// Longer than any prober runs.
const OWN_CERTIFICATE_LIFETIME: Duration = Duration::from_hours(24 * 365 * 20);
const CLIENT_LIMITS: ClientLimits =
    ClientLimits { head_timeout: CLIENT_TIMEOUT, keep_alive: false };

/// Files and addresses of a prober.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// File with the token; it is read for each request.
    pub token_file: PathBuf,
    /// Files of the certificate and its key; without them, it makes a certificate for itself.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// What it may connect to although the addresses are not public.
    pub guard: Guard,
}

/// Why a prober does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProberError {
    /// The port cannot be opened.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// A file cannot be read.
    #[error("{place}: {error}")]
    Unreadable {
        /// The file.
        place: String,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The token is too short to be secret.
    #[error("{place}: the token has fewer than {MIN_TOKEN} bytes")]
    WeakToken {
        /// The file.
        place: String,
    },
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// No certificate could be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

struct State {
    token_file: PathBuf,
    guard: Guard,
    places: Semaphore,
}

/// Serves until the shutdown.
///
/// # Errors
/// When it cannot start.
pub async fn serve(settings: Settings, shutdown: CancellationToken) -> Result<(), ProberError> {
    read_token(&settings.token_file)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(settings.certificate.as_ref())?));
    let address = settings.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|error| ProberError::Listen { address, error })?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "the prober is ready");
    let state = Arc::new(State {
        token_file: settings.token_file,
        guard: settings.guard,
        places: Semaphore::new(MAX_REQUESTS),
    });
    serve_connections(listener, "prober", &shutdown, |stream, place| {
        let (state, shutdown) = (Arc::clone(&state), shutdown.clone());
        let acceptor = acceptor.clone();
        async move { connection(stream, acceptor, &state, &shutdown, &place).await }
    })
    .await;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    state: &State,
    shutdown: &CancellationToken,
    place: &Place,
) {
    match tokio::time::timeout(CLIENT_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => {
            speak(tls, shutdown, CLIENT_LIMITS, |request| route(state, request, place)).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => {}
    }
}

async fn route(state: &State, request: Request<Incoming>, place: &Place) -> HttpResponse {
    if request.uri().path() != PATH {
        return refuse(StatusCode::NOT_FOUND, "not found; the path is /v1/probe");
    }
    if request.method() != Method::POST {
        return wrong_method(&Method::POST);
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect();
    let Ok(Ok(body)) = tokio::time::timeout(CLIENT_TIMEOUT, body).await else {
        return refuse(StatusCode::BAD_REQUEST, "the body is too large, incomplete or late");
    };
    probe(state, &head.headers, &body.to_bytes(), place).await
}

async fn probe(state: &State, headers: &HeaderMap, body: &[u8], place: &Place) -> HttpResponse {
    let token = match read_token(&state.token_file) {
        Ok(token) => token,
        Err(error) => {
            tracing::error!("{error}");
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the token cannot be read");
        }
    };
    let signature = headers.get(HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if !token.verify(Kind::Request, body, signature) {
        return refuse(StatusCode::UNAUTHORIZED, "the request is not signed with the token");
    }
    place.admit();
    let request: ProbeRequest = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if !is_bounded(&request) {
        return refuse(StatusCode::BAD_REQUEST, "too many domains or addresses, or no domain");
    }
    let Ok(_turn) = state.places.try_acquire() else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "too many probes at once; try again later");
    };
    let results = visit(&request, &state.guard).await;
    tracing::info!(host = %request.host, streams = results.len(), "probed");
    signed(&token, &ProbeAnswer { nonce: request.nonce, results })
}

fn is_bounded(request: &ProbeRequest) -> bool {
    (1..=MAX_DOMAINS).contains(&request.domains.len())
        && request.addresses.len() <= MAX_ADDRESSES
        && request.nonce.len() <= MAX_NONCE
}

fn signed(token: &Token, results: &ProbeAnswer) -> HttpResponse {
    let Ok(body) = serde_json::to_vec(results) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "cannot serialise the results");
    };
    let signature = HeaderValue::try_from(token.sign(Kind::Answer, &body));
    let mut response = answer(StatusCode::OK, "application/json", body);
    if let Ok(signature) = signature {
        response.headers_mut().insert(HEADER, signature);
    }
    response
}

fn read(path: &Path) -> Result<Vec<u8>, ProberError> {
    std::fs::read(path)
        .map_err(|error| ProberError::Unreadable { place: path.display().to_string(), error })
}

fn read_token(path: &Path) -> Result<Token, ProberError> {
    Token::new(&read(path)?)
        .ok_or_else(|| ProberError::WeakToken { place: path.display().to_string() })
}

fn tls(files: Option<&(PathBuf, PathBuf)>) -> Result<ServerConfig, ProberError> {
    let (certificate, key) = if let Some((certificate, key)) = files {
        (read(certificate)?, read(key)?)
    } else {
        let PemPair { certificate, private_key } = own_certificate()?;
        (certificate.into_bytes(), private_key.into_bytes())
    };
    let unusable = |error: &dyn std::fmt::Display| ProberError::Certificate(error.to_string());
    let chain = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| unusable(&error))?;
    ServerConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&error))
}

/// Its names and its issuer do not matter: the token authenticates the prober.
fn own_certificate() -> Result<PemPair, IssueError> {
    let names: Vec<Domain> = Domain::parse("prober.invalid").into_iter().collect();
    issue::self_signed(&names, OWN_CERTIFICATE_LIFETIME, UnixTime::now())
}
