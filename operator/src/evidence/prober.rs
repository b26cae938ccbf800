//! What probers elsewhere see: the operator requests a probe by HTTPS, in the background. Request and answer are signed with
//! the token of the prober, so its certificate is not verified.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use federation_engine::prober::message::{
    MAX_RESULTS, OutsideOutcome, OutsideResult, PATH, ProbeAnswer, ProbeRequest,
};
use federation_engine::prober::signature::{HEADER, Kind, Token};
use federation_engine::tls::config::provider;
use federation_engine::tls::holds_key::HoldsKey;
use futures::stream::{self, StreamExt as _};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use jiff::Timestamp;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use s2s_proto::guard::{Guard, check};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::background::Gather;
use crate::build::Address;
use crate::federation::validated::Validated;

/// For one prober, with the time that it needs for its streams.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// For TCP and TLS to a prober.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Federations whose probers are used at once.
pub const PROBERS_AT_ONCE: usize = 16;
/// Shortest interval of the probes of a federation: they go over the internet.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(2);
/// Longest interval: a closed port must be noticed within 30 s, with the second probe that confirms it.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
/// Largest answer.
const MAX_BODY: usize = 256 * 1024;
/// Most probers whose first failure is kept.
const MAX_FAILING: usize = 4096;

/// A prober and its token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownProber {
    /// Its URL.
    pub url: String,
    /// The token that it has.
    pub token: Token,
}

/// What to probe, and by whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Namespace and name of the federation.
    pub federation: String,
    /// The probers.
    pub probers: Vec<KnownProber>,
    /// The request, without nonce.
    pub request: ProbeRequest,
    /// Networks that probers may have addresses of although they are not public.
    pub allow_networks: Vec<IpNet>,
}

impl Wanted {
    /// What is probed of a federation that has these addresses; `None` without probers or addresses.
    pub fn of(
        federation: &Validated,
        address: Option<&Address>,
        probers: &[KnownProber],
    ) -> Option<Self> {
        let addresses = match address? {
            Address::Ips(ips) => ips.clone(),
            Address::Hostname(_) => Vec::new(),
        };
        let host = match address? {
            Address::Hostname(name) => name.parse().unwrap_or_else(|_| federation.host.clone()),
            Address::Ips(_) => federation.host.clone(),
        };
        (!probers.is_empty()).then(|| Self {
            federation: format!("{}/{}", federation.namespace, federation.name),
            probers: probers.to_vec(),
            request: ProbeRequest {
                nonce: String::new(),
                domains: federation.domains().cloned().collect(),
                addresses,
                host,
                s2s: federation.public_port(),
                s2s_tls: federation.public_tls_port(),
            },
            allow_networks: federation.spec.egress.allow_networks.clone(),
        })
    }
}

/// What the probers of a federation see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutsideEvidence {
    /// When the probes were requested.
    pub at: Timestamp,
    /// One for each prober, in the order of the spec.
    pub reports: Vec<OutsideReport>,
}

/// What one prober sees.
#[derive(Clone, Debug, PartialEq)]
pub struct OutsideReport {
    /// Host and port of its URL.
    pub prober: String,
    /// When the probe was requested.
    pub at: Timestamp,
    /// Since when a stream fails; `at` if none did before.
    pub since: Timestamp,
    /// The results; an error completes "Cannot use prober X: ...".
    pub found: Result<Vec<OutsideResult>, String>,
}

/// Uses the probers of a federation.
#[derive(Debug, Default)]
pub struct ProberRounds {
    /// Federation and URL of each prober that sees a failure, and since when.
    failing: Mutex<HashMap<(String, String), Timestamp>>,
}

impl Gather for ProberRounds {
    type Wanted = Wanted;
    type Found = OutsideEvidence;

    async fn gather(&self, wanted: Wanted) -> OutsideEvidence {
        let at = Timestamp::now();
        let wanted = &wanted;
        let reports = stream::iter(wanted.probers.clone())
            .map(|prober| async move {
                let asked = timeout(ANSWER_TIMEOUT, ask(&prober, wanted)).await;
                let late = || Err(format!("it did not answer within {ANSWER_TIMEOUT:?}"));
                let found = asked.unwrap_or_else(|_| late());
                let since = self.since(&wanted.federation, &prober, &found, at);
                OutsideReport { prober: place(&prober.url), at, since, found }
            })
            .buffered(4)
            .collect()
            .await;
        OutsideEvidence { at, reports }
    }

    fn same(one: &OutsideEvidence, other: &OutsideEvidence) -> bool {
        let said = |evidence: &OutsideEvidence| -> Vec<_> {
            evidence.reports.iter().map(|r| (r.prober.clone(), r.found.clone())).collect()
        };
        said(one) == said(other)
    }
}

impl ProberRounds {
    fn since(
        &self,
        federation: &str,
        prober: &KnownProber,
        found: &Result<Vec<OutsideResult>, String>,
        at: Timestamp,
    ) -> Timestamp {
        let is_reached =
            |result: &OutsideResult| matches!(result.outcome, OutsideOutcome::Reached { .. });
        let good = found.as_ref().is_ok_and(|results| results.iter().all(is_reached));
        let key = (federation.to_owned(), prober.url.clone());
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if good {
            failing.remove(&key);
            return at;
        }
        if failing.len() >= MAX_FAILING {
            failing.clear();
        }
        *failing.entry(key).or_insert(at)
    }
}

/// Host and port of a URL, for messages.
fn place(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let authority = uri.and_then(|uri| uri.authority().map(ToString::to_string));
    authority.unwrap_or_else(|| url.to_owned())
}

/// Requests a probe; an error completes "Cannot use prober X: ...".
async fn ask(prober: &KnownProber, wanted: &Wanted) -> Result<Vec<OutsideResult>, String> {
    let uri: Uri = prober.url.parse().map_err(|error| format!("its URL is not valid: {error}"))?;
    let host = uri.host().ok_or("its URL names no host")?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let guard = Guard { allow_networks: wanted.allow_networks.clone(), own: Vec::new() };
    let address = address(&host, port, &guard).await?;
    let late = |_| format!("the connection to {address} timed out");
    let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(late)?
        .map_err(|error| format!("cannot connect to {address}: {error}"))?;
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    let stream = timeout(CONNECT_TIMEOUT, TlsConnector::from(tls()?).connect(name, tcp))
        .await
        .map_err(late)?
        .map_err(|error| format!("the TLS handshake failed: {error}"))?;
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut requests, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let _running = Running(tokio::spawn(async move { drop(connection.await) }).abort_handle());
    let nonce = format!("{:032x}", rand::random::<u128>());
    let request =
        request(&uri, prober, &ProbeRequest { nonce: nonce.clone(), ..wanted.request.clone() })?;
    let response = requests.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|error| format!("its answer is broken: {error}"))?.to_bytes();
    match head.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            return Err("it has another token; compare its --token-file with the Secret".to_owned());
        }
        other => return Err(format!("it answered {other}")),
    }
    let signature = head.headers.get(HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if !prober.token.verify(Kind::Answer, &body, signature) {
        return Err("its answer is not signed with the token".to_owned());
    }
    let answer: ProbeAnswer = serde_json::from_slice(&body)
        .map_err(|error| format!("the operator cannot parse its answer: {error}"))?;
    if answer.nonce != nonce {
        return Err("it answered another request".to_owned());
    }
    Ok(answer.results.into_iter().take(MAX_RESULTS).collect())
}

/// Ends the task of a connection.
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn address(host: &str, port: u16, guard: &Guard) -> Result<SocketAddr, String> {
    let found = timeout(CONNECT_TIMEOUT, lookup_host((host, port))).await;
    let found = found
        .map_err(|_| format!("the query for {host} timed out"))?
        .map_err(|error| format!("{host} does not resolve: {error}"))?;
    let mut refused = format!("{host} has no address");
    for address in found {
        match check(address, guard) {
            Ok(()) => return Ok(address),
            Err(reason) => refused = format!("{reason}").replace('`', ""),
        }
    }
    Err(refused)
}

fn request(
    uri: &Uri,
    prober: &KnownProber,
    wanted: &ProbeRequest,
) -> Result<Request<Full<Bytes>>, String> {
    let body = serde_json::to_vec(wanted).map_err(|error| error.to_string())?;
    let path = format!("{}{PATH}", uri.path().trim_end_matches('/'));
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, place(&prober.url))
        .header(header::CONTENT_TYPE, "application/json")
        .header(HEADER, prober.token.sign(Kind::Request, &body))
        .body(Full::from(body))
        .map_err(|error| error.to_string())
}

fn tls() -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        // The signature of the answer authenticates the prober, and the request has no secret.
        .with_custom_certificate_verifier(HoldsKey::of_any())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
