//! Streams that the operator opens to the engine's listeners, at the address of each pod. They show what the engine would
//! serve to a peer; they never show that the pod can be reached from outside.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crds::domain::Domain;
use crds::proxy_protocol::ProxyProtocol;
use crds::xmpp::StreamCondition;
use federation_engine::probe::{Seen, look};
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use s2s_proto::certificate::facts::CertificateFacts;
use s2s_proto::certificate::identity::Identity;
use s2s_proto::plan::TlsStart;
use s2s_proto::proxy_header;
use s2s_proto::reason::Failure;

use super::cluster::ClusterEvidence;
use super::references::ServedCertificate;
use crate::build::ports;
use crate::federation::validated::Validated;

/// For one stream, from TCP to the features.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// For all streams of one federation; a domain without a result is not judged.
const ROUND_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams open at once.
const MAX_PROBES_AT_ONCE: usize = 16;

/// Probes of all replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeEvidence {
    /// When they were made.
    pub at: Timestamp,
    /// What was probed; if it changes, the probes are repeated.
    pub wanted: Wanted,
    /// One for each replica, domain and port.
    pub probes: Vec<Probe>,
}

/// One opened stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Name of the pod.
    pub pod: String,
    /// The `to` of the stream.
    pub domain: Domain,
    /// STARTTLS on 5269, or Direct TLS on 5270.
    pub mode: ProbeMode,
    /// How far the probe got.
    pub outcome: ProbeOutcome,
}

/// How the stream is secured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProbeMode {
    /// RFC 6120 §5.
    StartTls,
    /// XEP-0368.
    DirectTls,
}

impl ProbeMode {
    /// For messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "STARTTLS on port 5269",
            Self::DirectTls => "Direct TLS on port 5270",
        }
    }
}

/// How far a probe got.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProbeOutcome {
    /// The TLS handshake succeeded, and the engine sent features on the secured stream.
    Features {
        /// The certificate that was served.
        served: Served,
        /// Names of the SASL mechanisms.
        mechanisms: Vec<String>,
        /// Dialback is offered.
        dialback: bool,
    },
    /// TCP.
    ConnectFailed(String),
    /// The first features did not offer STARTTLS.
    StartTlsNotOffered,
    /// TLS.
    HandshakeFailed(String),
    /// The engine closed the stream with an error: condition and text.
    StreamError(StreamCondition, String),
    /// The answer is not an XMPP stream.
    NotXmpp(String),
}

/// A certificate as it was served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Served {
    /// SHA-256 of the leaf, hex.
    pub sha256: String,
    /// It names the domain.
    pub covers_domain: bool,
    /// End of validity.
    pub not_after: Timestamp,
}

/// What to probe.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// Names and addresses of the ready pods.
    pub pods: Vec<(String, IpAddr)>,
    /// Local domains.
    pub domains: Vec<Domain>,
    /// Probe Direct TLS as well.
    pub direct_tls: bool,
    /// SHA-256 of the certificate that the engine should serve; if it changes, the probes are repeated.
    pub certificate: Option<String>,
    /// Whose connections must begin with a header of the PROXY protocol; the operator's own may be among them.
    pub proxy_protocol: ProxyProtocol,
    /// Names of the pods that ran an earlier configuration then; once they run the current one, the probes are repeated.
    pub outdated: Vec<String>,
}

impl Wanted {
    /// What is probed of a federation.
    pub fn of(
        federation: &Validated,
        cluster: &ClusterEvidence,
        certificate: Option<&ServedCertificate>,
        outdated: Vec<String>,
    ) -> Self {
        let replicas = cluster.replicas().into_iter();
        Self {
            pods: replicas.map(|replica| (replica.name, replica.ip)).collect(),
            domains: federation.domains().cloned().collect(),
            direct_tls: federation.spec.service.direct_tls,
            certificate: certificate.map(|served| served.readable.facts.sha256.clone()),
            proxy_protocol: federation.spec.service.proxy_protocol.clone(),
            outdated,
        }
    }
}

/// Probes every pod.
pub async fn gather(wanted: Wanted, now: Timestamp) -> ProbeEvidence {
    let deadline = tokio::time::sleep(ROUND_TIMEOUT);
    let probes = stream::iter(visits(&wanted))
        .buffered(MAX_PROBES_AT_ONCE)
        .take_until(deadline)
        .collect()
        .await;
    ProbeEvidence { at: now, wanted, probes }
}

fn visits(wanted: &Wanted) -> Vec<impl Future<Output = Probe> + use<>> {
    let modes = [ProbeMode::StartTls, ProbeMode::DirectTls];
    let modes = modes.iter().filter(|mode| **mode == ProbeMode::StartTls || wanted.direct_tls);
    let mut visits = Vec::new();
    for mode in modes {
        for (pod, ip) in &wanted.pods {
            for domain in &wanted.domains {
                visits.push(visit(
                    pod.clone(),
                    *ip,
                    prefaces(&wanted.proxy_protocol, *ip),
                    domain.clone(),
                    *mode,
                ));
            }
        }
    }
    visits
}

/// The first bytes of a probe: the header of a proxy's own connection if the engine requires one from the operator's
/// address. The second attempt is for a pod that sees another address, or has not loaded a change yet.
fn prefaces(protocol: &ProxyProtocol, pod: IpAddr) -> Vec<&'static [u8]> {
    let mut both: Vec<&'static [u8]> = vec![&[], &proxy_header::LOCAL];
    if protocol.trusted_sources.is_empty() {
        both.truncate(1);
    } else if own_address(pod).is_some_and(|own| protocol.trusts(own)) {
        both.reverse();
    }
    both
}

async fn visit(
    pod: String,
    ip: IpAddr,
    prefaces: Vec<&'static [u8]>,
    domain: Domain,
    mode: ProbeMode,
) -> Probe {
    let (port, start) = match mode {
        ProbeMode::StartTls => (ports::S2S, TlsStart::StartTls),
        ProbeMode::DirectTls => (ports::S2S_TLS, TlsStart::Direct),
    };
    let mut result = None;
    for preface in prefaces {
        let seen = look(SocketAddr::new(ip, port), preface, &domain, start, PROBE_TIMEOUT).await;
        // The engine closes a connection with the wrong beginning, and sends nothing.
        let is_refused = matches!(seen, Err(Failure::ConnectionLost(_) | Failure::Handshake(_)));
        if result.is_none() || !is_refused {
            result = Some(seen);
        }
        if !is_refused {
            break;
        }
    }
    let late = Err(Failure::NegotiationTimedOut("reading the features"));
    let outcome = outcome(&domain, result.unwrap_or(late));
    Probe { pod, domain, mode, outcome }
}

fn outcome(domain: &Domain, seen: Result<Seen, Failure>) -> ProbeOutcome {
    let seen = match seen {
        Ok(seen) => seen,
        Err(Failure::Connect(attempts)) => {
            let why = attempts.first().map(|(_, why)| why.to_string()).unwrap_or_default();
            return ProbeOutcome::ConnectFailed(why);
        }
        Err(failure @ Failure::NegotiationTimedOut(_)) => {
            return ProbeOutcome::ConnectFailed(failure.to_string());
        }
        Err(Failure::StartTlsNotOffered | Failure::StartTlsRefused) => {
            return ProbeOutcome::StartTlsNotOffered;
        }
        Err(Failure::Handshake(why)) => return ProbeOutcome::HandshakeFailed(why),
        Err(Failure::StreamError { condition, text }) => {
            return ProbeOutcome::StreamError(condition, text);
        }
        Err(other) => return ProbeOutcome::NotXmpp(other.to_string()),
    };
    let Some((leaf, Ok(facts))) = seen.chain.leaf().map(|leaf| (leaf, CertificateFacts::of(leaf)))
    else {
        return ProbeOutcome::HandshakeFailed("the engine sent no readable certificate".to_owned());
    };
    ProbeOutcome::Features {
        served: Served {
            sha256: facts.sha256,
            covers_domain: Identity::of_der(leaf).is_ok_and(|names| names.matches(domain)),
            not_after: facts.not_after,
        },
        mechanisms: seen.features.external.then(|| "EXTERNAL".to_owned()).into_iter().collect(),
        dialback: seen.features.dialback.is_some(),
    }
}

/// The address from which this process reaches another one; no packet is sent.
pub fn own_address(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, ports::S2S)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusting(sources: &[&str]) -> ProxyProtocol {
        let sources = sources.iter().map(|source| source.parse().unwrap());
        ProxyProtocol { trusted_sources: sources.collect() }
    }

    #[test]
    fn a_trusted_operator_begins_with_a_header_and_any_other_one_tries_it_last() {
        let pod = "127.0.0.1".parse().unwrap();
        let (none, header): (&[u8], &[u8]) = (&[], &proxy_header::LOCAL);
        assert_eq!(prefaces(&trusting(&[]), pod), [none]);
        assert_eq!(prefaces(&trusting(&["192.0.2.0/24"]), pod), [none, header]);
        assert_eq!(prefaces(&trusting(&["127.0.0.0/8"]), pod), [header, none]);
    }
}
