//! The engine's configuration file: one struct for each mapping, with the field names of the resource's spec and files in
//! place of references. The operator writes it, the engine reads it.
//!
//! Nothing is checked here beyond the type of each value; the engine does the rest.

mod backend;
mod dns;
mod listen;
mod peer;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::backend::{FileBackend, FileComponent, FileServer};
pub use self::dns::{FileDnssec, SplitHorizon};
pub use self::listen::{ControlFiles, FileListen};
pub use self::peer::FilePeer;
pub use self::tls::{DialbackFiles, FileBackendCa, FileTls, KeyPairFiles, TrustFiles};
use crate::contact::Contact;
use crate::domain::Domain;
use crate::egress::Egress;
use crate::limits::{Limits, Timeouts};
use crate::observability::Observability;
use crate::peer::PeerSettings;
use crate::policy::Policy;

/// The whole file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineFile {
    /// Name of the engine: SRV target, and parent of the probe domain. Default: `xmpp.<first domain>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Domain>,
    /// Domains that the engine serves to remote servers.
    pub domains: Vec<FileDomain>,
    /// XMPP servers behind the engine. Without any, the engine answers ping and disco itself and bounces everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<FileBackend>,
    /// Certificates that the engine presents, and those that it trusts.
    #[serde(default)]
    pub tls: FileTls,
    /// CA that signs the certificates minted for the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_ca: Option<FileBackendCa>,
    /// Secret of the dialback keys (XEP-0185). If absent, the engine generates one at start, which is sufficient for one
    /// replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialback: Option<DialbackFiles>,
    /// Default settings for all peers.
    #[serde(default)]
    pub peer_defaults: PeerSettings<PathBuf>,
    /// Settings for individual peers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<FilePeer>,
    /// Which remote domains may exchange stanzas.
    #[serde(default)]
    pub policy: Policy,
    /// Limits of size and count.
    #[serde(default)]
    pub limits: Limits,
    /// Limits in time.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Networks that the engine may connect to although their kind is blocked.
    #[serde(default)]
    pub egress: Egress,
    /// Addresses to listen on.
    #[serde(default)]
    pub listen: FileListen,
    /// Resolvers of the outer leg. Default: the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<SocketAddr>,
    /// Whether the engine validates their answers.
    #[serde(default)]
    pub dnssec: FileDnssec,
    /// Partners to ask whether they host one of the domains themselves.
    #[serde(default, skip_serializing_if = "FileClaimCheck::is_empty")]
    pub claim_check: FileClaimCheck,
    /// Log level and export of traces. Changes take effect without a restart.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub observability: Observability,
    /// Answers of the backend's DNS. If absent, the engine synthesises none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_horizon: Option<SplitHorizon>,
}

/// Partners to ask whether they host one of the domains themselves, because a hosting provider may have a customer of that
/// name. Each question is a stream to the partner that authenticates nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileClaimCheck {
    /// Domains of the partners.
    #[serde(default)]
    pub peers: Vec<Domain>,
}

impl FileClaimCheck {
    /// Nobody is asked.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

/// One local domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDomain {
    /// The domain.
    pub name: Domain,
    /// Name of its backend. Default: the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Contact addresses, which service discovery shows; in effect only without a backend.
    #[serde(default, skip_serializing_if = "Contact::is_empty")]
    pub contact: Contact,
    /// Whether the engine reports its name and version (XEP-0092); in effect only without a backend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show_version: bool,
}
