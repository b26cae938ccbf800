//! Opens the streams of a request.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use s2s_proto::certificate::facts::CertificateFacts;
use s2s_proto::guard::{Guard, check};
use s2s_proto::plan::TlsStart;
use s2s_proto::reason::{ConnectReason, Failure};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::message::{
    MAX_ADDRESSES, MAX_DOMAINS, OutsideMode, OutsideOutcome, OutsideResult, ProbeRequest,
};
use crate::Domain;
use crate::probe::{Seen, look};

/// For one stream, from TCP to the features.
const STREAM_TIMEOUT: Duration = Duration::from_secs(5);
/// For the lookup of the host.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams of one request that are open at once.
const MAX_AT_ONCE: usize = 16;
/// Longest quotation of what a server sends, in bytes.
const MAX_DETAIL: usize = 300;
/// Most names of a certificate in a result.
const MAX_NAMES: usize = 8;

/// One stream to open.
struct Visit {
    address: SocketAddr,
    domain: Domain,
    mode: OutsideMode,
}

/// Opens all streams of a request.
pub async fn visit(request: &ProbeRequest, guard: &Guard) -> Vec<OutsideResult> {
    let addresses = match addresses(request).await {
        Ok(addresses) => addresses,
        Err(detail) => return unresolved(request, &detail),
    };
    stream::iter(visits(request, &addresses))
        .map(|Visit { address, domain, mode }| async move {
            let outcome = open(address, &domain, mode, guard).await;
            OutsideResult { address: Some(address), domain, mode, outcome }
        })
        .buffered(MAX_AT_ONCE)
        .collect()
        .await
}

/// Every domain at the first address, and the first domain at the others: all addresses lead to the same engines.
fn visits(request: &ProbeRequest, addresses: &[IpAddr]) -> Vec<Visit> {
    let ports = ports(request);
    let at = |ip: IpAddr, domain: &Domain| {
        let domain = domain.clone();
        ports.clone().into_iter().map(move |(mode, port)| Visit {
            address: SocketAddr::new(ip, port),
            domain: domain.clone(),
            mode,
        })
    };
    let mut all = Vec::new();
    for (index, ip) in addresses.iter().take(MAX_ADDRESSES).enumerate() {
        let domains = if index == 0 { MAX_DOMAINS } else { 1 };
        all.extend(request.domains.iter().take(domains).flat_map(|domain| at(*ip, domain)));
    }
    all
}

fn ports(request: &ProbeRequest) -> Vec<(OutsideMode, u16)> {
    let direct = request.s2s_tls.map(|port| (OutsideMode::DirectTls, port));
    std::iter::once((OutsideMode::StartTls, request.s2s)).chain(direct).collect()
}

async fn addresses(request: &ProbeRequest) -> Result<Vec<IpAddr>, String> {
    if !request.addresses.is_empty() {
        return Ok(request.addresses.clone());
    }
    let host = request.host.to_ascii();
    let found = timeout(LOOKUP_TIMEOUT, lookup_host((host.as_str(), request.s2s))).await;
    let found = found
        .map_err(|_| format!("the query for {host} timed out"))?
        .map_err(|error| error.to_string())?;
    let mut all: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    all.dedup();
    if all.is_empty() { Err(format!("{host} has no address")) } else { Ok(all) }
}

fn unresolved(request: &ProbeRequest, detail: &str) -> Vec<OutsideResult> {
    let first = request.domains.iter().take(1);
    first
        .map(|domain| OutsideResult {
            address: None,
            domain: domain.clone(),
            mode: OutsideMode::StartTls,
            outcome: OutsideOutcome::NoAddress { detail: bounded(detail) },
        })
        .collect()
}

async fn open(
    address: SocketAddr,
    domain: &Domain,
    mode: OutsideMode,
    guard: &Guard,
) -> OutsideOutcome {
    if let Err(reason) = check(address, guard) {
        return OutsideOutcome::NotAllowed { detail: reason.to_string() };
    }
    let start = match mode {
        OutsideMode::StartTls => TlsStart::StartTls,
        OutsideMode::DirectTls => TlsStart::Direct,
    };
    outcome(look(address, &[], domain, start, STREAM_TIMEOUT).await)
}

fn outcome(seen: Result<Seen, Failure>) -> OutsideOutcome {
    match seen {
        Ok(seen) => reached(&seen),
        Err(Failure::Connect(attempts)) => match attempts.into_iter().next() {
            Some((_, ConnectReason::Refused)) => OutsideOutcome::Refused,
            Some((_, ConnectReason::TimedOut)) | None => OutsideOutcome::TimedOut,
            Some((_, ConnectReason::NoRoute)) => OutsideOutcome::NoRoute,
            Some((_, other)) => OutsideOutcome::ConnectFailed { detail: bounded(&other) },
        },
        Err(Failure::NegotiationTimedOut(step)) => {
            OutsideOutcome::Stalled { detail: bounded(step) }
        }
        Err(Failure::ConnectionLost(step)) => OutsideOutcome::Reset { detail: bounded(step) },
        Err(Failure::StartTlsNotOffered | Failure::StartTlsRefused) => {
            OutsideOutcome::StartTlsNotOffered
        }
        Err(Failure::Handshake(detail)) => {
            OutsideOutcome::HandshakeFailed { detail: bounded(&detail) }
        }
        Err(Failure::StreamError { condition, text }) => {
            OutsideOutcome::StreamError { condition, text: bounded(&text) }
        }
        Err(other) => OutsideOutcome::NotXmpp { detail: bounded(&other) },
    }
}

fn reached(seen: &Seen) -> OutsideOutcome {
    let facts = seen.chain.leaf().map(|leaf| CertificateFacts::of(leaf));
    let Some(Ok(facts)) = facts else {
        let detail = "the server sent no readable certificate".to_owned();
        return OutsideOutcome::HandshakeFailed { detail };
    };
    OutsideOutcome::Reached {
        tls: seen.tls_version.to_owned(),
        certificate: facts.sha256,
        names: facts.names.iter().take(MAX_NAMES).map(bounded).collect(),
    }
}

fn bounded(text: &(impl ToString + ?Sized)) -> String {
    let mut text = text.to_string();
    text.truncate(text.floor_char_boundary(MAX_DETAIL));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_streams_is_bounded() {
        let domain = |n| Domain::parse(&format!("d{n}.example.com")).unwrap();
        let request = ProbeRequest {
            nonce: String::new(),
            domains: (0..100).map(domain).collect(),
            addresses: Vec::new(),
            host: domain(0),
            s2s: 5269,
            s2s_tls: Some(5270),
        };
        let addresses = vec![IpAddr::from([192, 0, 2, 7]); 100];
        let all = visits(&request, &addresses);
        assert!(all.len() <= super::super::message::MAX_RESULTS, "{}", all.len());
        assert_eq!(all.iter().filter(|v| v.domain == domain(1)).count(), 2);
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_is_silent_is_told_apart_from_one_that_does_not_answer() {
        let domain = Domain::parse("example.com").unwrap();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        for (start, step) in [
            (TlsStart::StartTls, "waiting for the stream header"),
            (TlsStart::Direct, "negotiating TLS"),
        ] {
            let seen = look(address, &[], &domain, start, Duration::from_millis(100)).await;
            let detail = step.to_owned();
            assert_eq!(outcome(seen), OutsideOutcome::Stalled { detail });
        }
    }

    #[tokio::test]
    async fn the_prober_does_not_connect_to_its_own_network() {
        let domain = Domain::parse("example.com").unwrap();
        let address = "10.0.0.1:5269".parse().unwrap();
        let refused = open(address, &domain, OutsideMode::StartTls, &Guard::default()).await;
        let words = "10.0.0.1 is a private address";
        assert!(
            matches!(&refused, OutsideOutcome::NotAllowed { detail } if detail.starts_with(words)),
            "{refused:?}"
        );
    }
}
