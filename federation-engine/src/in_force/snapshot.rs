//! The configuration in effect, and the files that it names.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::backend::BackendAuthentication;
use crds::engine_file::TrustFiles;
use rustls_pki_types::UnixTime;
use s2s_proto::certificate::chain::PeerChain;
use s2s_proto::certificate::dane::{self, Delegation};
use s2s_proto::certificate::judge::judge;
use s2s_proto::certificate::pin::Pin;
use s2s_proto::certificate::trust::Trust;
use s2s_proto::dialback::{Key, Secret};
use s2s_proto::reason::CertificateReason;
use s2s_proto::stream::component::Secret as ComponentSecret;

use crate::Domain;
use crate::config::peer::Peer;
use crate::config::{Attachment, Backend, Config};
use crate::leg::Leg;
use crate::observe::evidence::{LoadError, ServedCertificate};
use crate::tls::certs::{LocalCertificate, LocalCertificates};
use crate::tls::config::Presented;
use crate::tls::issue::PemPair;
use crate::tls::mint::{Mint, MintError};

/// Secrets of dialback keys. The current one signs; the previous one is still accepted, so that a rotation breaks no
/// verification in progress.
pub(crate) struct DialbackSecrets {
    current: Secret,
    previous: Option<Secret>,
}

impl DialbackSecrets {
    pub(crate) fn key(&self, receiving: &Domain, originating: &Domain, id: &str) -> Key {
        self.current.key(receiving, originating, id)
    }

    pub(crate) fn confirms(
        &self,
        receiving: &Domain,
        originating: &Domain,
        id: &str,
        key: &str,
    ) -> bool {
        let by = |secret: &Secret| secret.key(receiving, originating, id).matches(key);
        // Both comparisons always run, so that their duration reveals nothing.
        let (current, previous) = (by(&self.current), self.previous.as_ref().is_some_and(by));
        current | previous
    }
}

/// The configuration and materials in effect.
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    pub(crate) dialback: DialbackSecrets,
    certificates: LocalCertificates,
    mint: Option<Arc<Mint>>,
    trust: Arc<Trust>,
    peer_trust: HashMap<Vec<PathBuf>, Arc<Trust>>,
    backend_trust: HashMap<String, Arc<Trust>>,
    /// The secrets of components, by their file.
    component_secrets: HashMap<PathBuf, ComponentSecret>,
    /// Problems of files that could not be loaded. The last valid content is used if there is any.
    pub(crate) problems: Vec<LoadError>,
}

/// Replacement for an unusable file: the content that was loaded last.
#[derive(Clone, Copy)]
struct Loader<'a> {
    last: Option<&'a Snapshot>,
}

impl Snapshot {
    /// Loads the files that the configuration names. A missing or malformed file is a [`LoadError`] and does not end
    /// the process: the last valid content stays in use.
    pub(crate) fn load(config: Config, last: Option<&Self>) -> Self {
        let loader = Loader { last };
        let mut problems = Vec::new();
        let certificates = loader.certificates(&config, &mut problems);
        let mint = loader.mint(&config, &mut problems);
        let trust = load_trust(&config.trust, last.map(|last| &last.trust), &mut problems);
        let mut peer_trust = HashMap::new();
        for peer in std::iter::once(config.peers.defaults()).chain(config.peers.entries()) {
            if peer.bundles.is_empty() || peer_trust.contains_key(&peer.bundles) {
                continue;
            }
            let old = last.and_then(|last| last.peer_trust.get(&peer.bundles));
            let files = TrustFiles { system_roots: false, bundles: peer.bundles.clone() };
            let own = load_trust(&files, old, &mut problems);
            peer_trust.insert(peer.bundles.clone(), Arc::new(trust.and(&own)));
        }
        let mut backend_trust = HashMap::new();
        for backend in &config.backends {
            let old = last.and_then(|last| last.backend_trust.get(&backend.name));
            if let Some(trust) = Loader::backend_trust(&config, backend, old, &mut problems) {
                backend_trust.insert(backend.name.clone(), trust);
            }
        }
        let dialback = loader.dialback(&config, &mut problems);
        let component_secrets = loader.component_secrets(&config, &mut problems);
        Self {
            config,
            dialback,
            certificates,
            mint,
            trust,
            peer_trust,
            backend_trust,
            component_secrets,
            problems,
        }
    }

    /// The certificate to present as `domain` on a leg: our own on the outer leg, a minted one on the inner leg.
    ///
    /// # Errors
    /// No certificate is loaded for the domain, or none is minted.
    pub(crate) fn present(
        &self,
        leg: Leg,
        domain: &Domain,
        now: UnixTime,
    ) -> Result<Owned, NotPresented> {
        match leg {
            Leg::Outer => {
                let own = self.certificates.present(domain).ok_or(NotPresented::NotLoaded)?;
                Ok(Owned { presented: own.presented().clone(), minted: None })
            }
            Leg::Inner => {
                let mint = self.mint.as_ref().ok_or(NotPresented::NotLoaded)?;
                let minted = mint.present_as(domain, now, Instant::now())?;
                let presented = (*minted.presented).clone();
                Ok(Owned { presented, minted: Some(minted.fresh) })
            }
        }
    }

    /// The certificate for a Direct TLS connection, chosen by its server name (XEP-0368 §3).
    ///
    /// # Errors
    /// See [`Self::present`].
    pub(crate) fn present_for_sni(
        &self,
        leg: Leg,
        name: Option<&str>,
        now: UnixTime,
    ) -> Result<Owned, NotPresented> {
        match leg {
            Leg::Outer => {
                let own = self.certificates.present_for_sni(name);
                let own = own.ok_or(NotPresented::NotLoaded)?;
                Ok(Owned { presented: own.presented().clone(), minted: None })
            }
            Leg::Inner => {
                let domain = name.and_then(|name| Domain::parse(name).ok());
                self.present(leg, &domain.ok_or(NotPresented::NotLoaded)?, now)
            }
        }
    }

    /// Verifies whether a chain authenticates a remote server.
    pub(crate) fn judge_peer(
        &self,
        chain: &PeerChain,
        remote: &Domain,
        now: UnixTime,
    ) -> Result<(), CertificateReason> {
        let peer: &Peer = self.config.peers.resolve(remote);
        let trust = self.peer_trust.get(&peer.bundles).unwrap_or(&self.trust);
        judge(chain, remote, trust, &peer.pins, now)
    }

    /// Verifies whether a chain authenticates a remote server whose SRV record DNSSEC authenticates.
    pub(crate) fn judge_server(
        &self,
        chain: &PeerChain,
        server: &Delegation,
        now: UnixTime,
    ) -> Result<(), CertificateReason> {
        let peer: &Peer = self.config.peers.resolve(&server.domain);
        let trust = self.peer_trust.get(&peer.bundles).unwrap_or(&self.trust);
        dane::judge(chain, server, trust, &peer.pins, now)
    }

    /// Whether the server's own TLSA records decide about its certificate. Configured pins take precedence.
    pub(crate) fn is_judged_by_dane(&self, server: &Delegation) -> bool {
        server.names_certificate() && self.config.peers.resolve(&server.domain).pins.is_empty()
    }

    /// Verifies whether a chain authenticates the backend of a local domain.
    pub(crate) fn judge_backend(
        &self,
        chain: &PeerChain,
        local: &Domain,
        now: UnixTime,
    ) -> Result<(), CertificateReason> {
        let none = Arc::new(Trust::none());
        let trust = self
            .backend(local)
            .and_then(|backend| self.backend_trust.get(&backend.name))
            .unwrap_or(&none);
        let no_pins: [Pin; 0] = [];
        judge(chain, local, trust, &no_pins, now)?;
        // A certificate that authenticates domains of several backends would let one speak for another.
        let own = self.backend(local);
        let mut others = self.config.domains.iter().filter(|other| other.backend.as_ref() != own);
        match others.find(|other| chain.has_name(&other.name)) {
            Some(other) => Err(CertificateReason::OtherBackend { domain: other.name.clone() }),
            None => Ok(()),
        }
    }

    /// The backend of a local domain.
    pub(crate) fn backend(&self, local: &Domain) -> Option<&Arc<Backend>> {
        self.config.local(local)?.backend.as_ref()
    }

    /// The backend of a local domain, if it is a component.
    pub(crate) fn component_of(&self, local: &Domain) -> Option<&Arc<Backend>> {
        self.backend(local).filter(|backend| matches!(backend.attachment, Attachment::Component(_)))
    }

    /// The secret of the component that serves a local domain.
    pub(crate) fn component_secret(&self, local: &Domain) -> Option<&ComponentSecret> {
        match &self.backend(local)?.attachment {
            Attachment::Component(component) => self.component_secrets.get(&component.secret_file),
            Attachment::Server { .. } => None,
        }
    }

    /// How engine and backend authenticate each other for a local domain.
    pub(crate) fn backend_authentication(&self, local: &Domain) -> BackendAuthentication {
        match self.backend(local).map(|backend| &backend.attachment) {
            Some(Attachment::Server { authentication, .. }) => *authentication,
            _ => BackendAuthentication::default(),
        }
    }

    /// Evidence of the certificates in use.
    pub(crate) fn served(&self) -> Vec<ServedCertificate> {
        let served = |(domain, certificate): (&Domain, &Arc<LocalCertificate>)| {
            let facts = certificate.facts();
            ServedCertificate {
                domain: domain.clone(),
                sha256: facts.sha256.clone(),
                not_after: facts.not_after,
                self_signed: facts.self_signed,
            }
        };
        self.certificates.iter().map(served).collect()
    }
}

/// A certificate of the engine.
pub(crate) struct Owned {
    pub(crate) presented: Presented,
    /// Whether it was minted just now; `None`: it was loaded from a file.
    pub(crate) minted: Option<bool>,
}

/// Why a handshake has no certificate to present.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPresented {
    /// None is configured, or its files are unusable.
    #[error("no certificate is loaded for this domain")]
    NotLoaded,
    /// None was minted.
    #[error(transparent)]
    NotMinted(#[from] MintError),
}

impl From<NotPresented> for io::Error {
    fn from(error: NotPresented) -> Self {
        Self::new(io::ErrorKind::NotFound, error)
    }
}

fn problem(place: &Path, message: impl std::fmt::Display) -> LoadError {
    LoadError { place: place.display().to_string(), message: message.to_string(), unusable: true }
}

/// From when a new backend CA signs. Without a file, or with another content, at once.
fn signs_from(path: &Path) -> Option<UnixTime> {
    let at: jiff::Timestamp = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let seconds = u64::try_from(at.as_second()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

fn load_trust(
    files: &TrustFiles,
    last: Option<&Arc<Trust>>,
    problems: &mut Vec<LoadError>,
) -> Arc<Trust> {
    match crate::tls::roots::load(files.system_roots, &files.bundles) {
        Ok(trust) => Arc::new(trust),
        Err(error) => {
            let place = files.bundles.first().map_or(Path::new("tls.trust"), PathBuf::as_path);
            problems.push(problem(place, error));
            last.cloned().unwrap_or_else(|| Arc::new(Trust::none()))
        }
    }
}

impl Loader<'_> {
    fn certificates(self, config: &Config, problems: &mut Vec<LoadError>) -> LocalCertificates {
        let mut loaded = Vec::new();
        for files in &config.certificates {
            match LocalCertificate::load(&files.certificate_file, &files.private_key_file) {
                Ok(certificate) => loaded.push(Arc::new(certificate)),
                Err(error) => problems.push(problem(&files.certificate_file, error)),
            }
        }
        if let (true, Some(last)) = (loaded.len() < config.certificates.len(), self.last) {
            loaded.extend(last.certificates.iter().map(|(_, certificate)| Arc::clone(certificate)));
        }
        let names: Vec<Domain> = config.local_names().cloned().collect();
        let (certificates, uncovered) = LocalCertificates::assign(&loaded, &names, UnixTime::now());
        for error in uncovered {
            let place = config
                .certificates
                .first()
                .map_or(Path::new("tls.certificates"), |files| &files.certificate_file);
            problems.push(LoadError { unusable: false, ..problem(place, error) });
        }
        certificates
    }

    fn mint(self, config: &Config, problems: &mut Vec<LoadError>) -> Option<Arc<Mint>> {
        let files = config.backend_ca.as_ref()?;
        let last = self.last.and_then(|last| last.mint.as_ref());
        let load = || -> Result<Mint, String> {
            let read =
                |path: &Path| std::fs::read_to_string(path).map_err(|error| error.to_string());
            let pem = PemPair {
                certificate: read(&files.certificate_file)?,
                private_key: read(&files.private_key_file)?,
            };
            let local = config.known_to_all_backends().cloned();
            let new = Mint::new(&pem, local).map_err(|error| error.to_string())?;
            Ok(match last {
                Some(last) => {
                    new.after(last, files.signs_from_file.as_deref().and_then(signs_from))
                }
                None => new,
            })
        };
        match load() {
            Ok(mint) => Some(Arc::new(mint)),
            Err(error) => {
                problems.push(problem(&files.certificate_file, error));
                last.cloned()
            }
        }
    }

    fn backend_trust(
        config: &Config,
        backend: &Backend,
        last: Option<&Arc<Trust>>,
        problems: &mut Vec<LoadError>,
    ) -> Option<Arc<Trust>> {
        let Attachment::Server { trust, .. } = &backend.attachment else { return None };
        // If absent: the CA that was issued for the backend, otherwise the root certificates of the system.
        let given = config.backend_ca.as_ref().map(|files| files.certificate_file.clone());
        let default = || TrustFiles {
            system_roots: given.is_none(),
            bundles: given.iter().cloned().collect(),
        };
        let files = trust.clone().unwrap_or_else(default);
        Some(load_trust(&files, last, problems))
    }

    fn component_secrets(
        self,
        config: &Config,
        problems: &mut Vec<LoadError>,
    ) -> HashMap<PathBuf, ComponentSecret> {
        let mut secrets = HashMap::new();
        for backend in &config.backends {
            let Attachment::Component(component) = &backend.attachment else { continue };
            let path = &component.secret_file;
            let read = match std::fs::read(path) {
                Ok(bytes) => ComponentSecret::new(bytes.trim_ascii())
                    .ok_or_else(|| problem(path, "the secret of the component is empty")),
                Err(error) => Err(problem(path, error)),
            };
            let secret = read.map_err(|error| problems.push(error)).ok();
            let last = || self.last?.component_secrets.get(path).cloned();
            if let Some(secret) = secret.or_else(last) {
                secrets.insert(path.clone(), secret);
            }
        }
        secrets
    }

    fn dialback(self, config: &Config, problems: &mut Vec<LoadError>) -> DialbackSecrets {
        let mut read = |path: &Path, required: bool| match std::fs::read(path) {
            Ok(bytes) if bytes.is_empty() => {
                problems.push(problem(path, "the dialback secret is empty"));
                None
            }
            Ok(bytes) => Some(Secret::new(bytes.trim_ascii())),
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                problems.push(problem(path, error));
                None
            }
        };
        let (mut current, mut previous) = (None, None);
        if let Some(files) = &config.dialback {
            current = read(&files.secret_file, true);
            previous = files.previous_secret_file.as_deref().and_then(|path| read(path, false));
        }
        if let (None, Some(last)) = (&current, self.last) {
            current = Some(last.dialback.current.clone());
            previous = previous.or_else(|| last.dialback.previous.clone());
        }
        // Without a configured secret, one is generated, which is sufficient for a single replica.
        let current = current.unwrap_or_else(|| Secret::new(&rand::random::<[u8; 32]>()));
        DialbackSecrets { current, previous }
    }
}
