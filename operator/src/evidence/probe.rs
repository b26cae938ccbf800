//! Streams that the operator opens to the engine's own listeners, on the address of each pod. They show what a peer would
//! be served; they never show that the outside reaches the pod.

use std::net::IpAddr;

use crds::domain::Domain;
use jiff::{SignedDuration, Timestamp};

use super::cluster::ClusterEvidence;
use super::references::CertificateSeen;
use crate::context::{Context, FederationRef};
use crate::reconcile::validate::Validated;

/// Probes of all replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeEvidence {
    /// When they were made.
    pub at: Timestamp,
    /// What was probed; anything else needs new probes.
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
    /// How far it came.
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

/// How far a probe came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProbeOutcome {
    /// TLS was set up, and features came on the secured stream.
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
    /// The engine ended the stream with an error: condition and text.
    StreamError(String, String),
    /// What answers is no XMPP stream.
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

/// What is to be probed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// Names and addresses of the ready pods.
    pub pods: Vec<(String, IpAddr)>,
    /// Local domains.
    pub domains: Vec<Domain>,
    /// Probe Direct TLS as well.
    pub direct_tls: bool,
    /// SHA-256 of the certificate that is to be served; another one makes new probes.
    pub certificate: Option<String>,
}

impl Wanted {
    /// What is probed of a federation.
    pub fn of(
        federation: &Validated,
        cluster: &ClusterEvidence,
        certificate: Option<&CertificateSeen>,
    ) -> Self {
        let replicas = cluster.replicas().into_iter();
        Self {
            pods: replicas.map(|replica| (replica.name, replica.ip)).collect(),
            domains: federation.domains().cloned().collect(),
            direct_tls: federation.spec.service.direct_tls,
            certificate: match certificate {
                Some(CertificateSeen::Readable { facts, .. }) => Some(facts.sha256.clone()),
                Some(CertificateSeen::KeyMismatch(_)) | None => None,
            },
        }
    }
}

/// No probe is made yet: it needs the engine's stream driver. The verdicts say that nothing was tried.
pub fn gather(
    _: &Context,
    _: &FederationRef,
    _: Wanted,
    _: SignedDuration,
    _: Timestamp,
) -> std::future::Ready<ProbeEvidence> {
    std::future::ready(ProbeEvidence::default())
}

/// The address from which this process reaches another one; no packet is sent.
pub fn own_address(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, crate::build::ports::S2S)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
