//! The configuration of the engine: the file, parsed. Pure, domain types only, consistent in itself.
//!
//! An invalid file is fatal at start; on reload, the last valid one stays in effect. The content of the files that it
//! refers to (certificates, roots, secrets) is read elsewhere, and a missing or malformed one is never fatal.

pub mod check;
pub mod error;
pub mod load;
pub mod locate;
pub mod parse;
pub mod peer;
pub mod range;
pub mod resolve;
pub mod watch;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crds::backend::BackendAuthentication;
use crds::contact::Contact;
use crds::engine_file::{
    ControlFiles, DialbackFiles, FileBackendCa, FileClaimCheck, FileComponent, FileDnssec,
    FileListen, KeyPairFiles, SplitHorizon, TrustFiles,
};
use crds::limits::{EffectiveLimits, EffectiveTimeouts};
use crds::observability::Observability;
use crds::policy::Policy;
use crds::target::RouteTarget;
use ipnet::IpNet;
use resolve::Peers;

use crate::Domain;

/// A configuration that is consistent in itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// SHA-256 of the file, hex.
    pub hash: String,
    /// Name of the engine: SRV target of the local domains.
    pub host: Domain,
    /// The engine's own domain, from which it pings the backends.
    pub probe_domain: Domain,
    /// Local domains, sorted by name.
    pub domains: Vec<LocalDomain>,
    /// Backends, in the order of the file.
    pub backends: Vec<Arc<Backend>>,
    /// Certificates that the engine presents, in the order of the file.
    pub certificates: Vec<KeyPairFiles>,
    /// Trust settings of the outer leg.
    pub trust: TrustFiles,
    /// CA of the certificates minted for the backends.
    pub backend_ca: Option<FileBackendCa>,
    /// Secret of the dialback keys; if absent, one is generated at start.
    pub dialback: Option<DialbackFiles>,
    /// Settings of remote domains.
    pub peers: Peers,
    /// Which remote domains may exchange stanzas; see [`s2s_proto::policy::decide::allows`].
    pub policy: Policy,
    /// Limits in size and number.
    pub limits: EffectiveLimits,
    /// Limits in time.
    pub timeouts: EffectiveTimeouts,
    /// Networks to which the dialler may connect although addresses of their kind are refused.
    pub allow_networks: Vec<IpNet>,
    /// Where to listen.
    pub listen: FileListen,
    /// Resolvers of the outer leg; empty: the system's.
    pub resolvers: Vec<SocketAddr>,
    /// Whether their answers are validated.
    pub dnssec: FileDnssec,
    /// Partners to ask whether they host a local domain themselves.
    pub claim_check: FileClaimCheck,
    /// Log level and export of traces.
    pub observability: Observability,
    /// Settings of the split-horizon DNS for the backend.
    pub split_horizon: Option<SplitHorizon>,
    not_in_effect: Vec<String>,
}

/// A domain that the engine represents to remote servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalDomain {
    /// The domain.
    pub name: Domain,
    /// The backend that serves it; `None`: the engine answers ping and disco itself and bounces the rest.
    pub backend: Option<Arc<Backend>>,
    /// Contact addresses for it (XEP-0157); reported if there is no backend.
    pub contact: Contact,
    /// Name and version of the engine are reported (XEP-0092) if there is no backend.
    pub show_version: bool,
}

/// A server that serves local domains.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backend {
    /// Its name, unique.
    pub name: String,
    /// How it is attached.
    pub attachment: Attachment,
}

/// How a backend is attached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attachment {
    /// An XMPP server, over S2S in both directions.
    Server {
        /// Where it listens.
        target: RouteTarget,
        /// How engine and backend authenticate each other.
        authentication: BackendAuthentication,
        /// How its certificate is verified; `None`: the backend CA, else the system roots.
        trust: Option<TrustFiles>,
    },
    /// A component (XEP-0114) that connects to the engine.
    Component(FileComponent),
}

impl Config {
    /// The local domain of this name.
    pub fn local(&self, name: &Domain) -> Option<&LocalDomain> {
        let index = self.domains.binary_search_by(|local| local.name.cmp(name)).ok()?;
        self.domains.get(index)
    }

    /// Names of the local domains, sorted.
    pub fn local_names(&self) -> impl Iterator<Item = &Domain> {
        self.domains.iter().map(|local| &local.name)
    }

    /// Whether some backend reaches this domain only through the engine: every remote domain, and a local domain that
    /// another backend serves, or none.
    pub fn is_remote_to_a_backend(&self, name: &Domain) -> bool {
        self.local(name).is_none_or(|local| {
            self.backends.iter().any(|other| local.backend.as_ref() != Some(other))
        })
    }

    /// The local domains that every backend reaches without the engine.
    pub fn known_to_all_backends(&self) -> impl Iterator<Item = &Domain> {
        self.local_names().filter(|name| !self.is_remote_to_a_backend(name))
    }

    /// Files of the control listener.
    pub fn control(&self) -> Option<&ControlFiles> {
        self.listen.control.as_ref()
    }

    /// Every file that the configuration refers to; see [`watch::FileWatch::set`].
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.certificates.iter();
        let pairs = pairs.flat_map(|pair| [&pair.certificate_file, &pair.private_key_file]);
        let backend_ca = self.backend_ca.iter().flat_map(|ca| {
            [&ca.certificate_file, &ca.private_key_file].into_iter().chain(&ca.signs_from_file)
        });
        let dialback = self.dialback.iter().flat_map(|dialback| {
            std::iter::once(&dialback.secret_file).chain(&dialback.previous_secret_file)
        });
        let backends = self.backends.iter().flat_map(|backend| match &backend.attachment {
            Attachment::Server { trust, .. } => {
                trust.as_ref().map_or_else(Vec::new, |trust| trust.bundles.iter().collect())
            }
            Attachment::Component(component) => vec![&component.secret_file],
        });
        let peers = self.peers.entries().iter().chain([self.peers.defaults()]);
        let control = self.control().into_iter().flat_map(|control| {
            [&control.certificate_file, &control.private_key_file, &control.token_file]
        });
        let bundles = self.trust.bundles.iter().chain(peers.flat_map(|peer| &peer.bundles));
        pairs
            .chain(backend_ca)
            .chain(dialback)
            .chain(backends)
            .chain(bundles)
            .chain(control)
            .chain(&self.dnssec.trust_anchors)
            .map(std::path::PathBuf::as_path)
    }

    /// Configured fields that have no effect, as `field: sentence`; see
    /// [`crds::engine_file::EngineFile::not_in_effect`].
    pub fn not_in_effect(&self) -> &[String] {
        &self.not_in_effect
    }
}
