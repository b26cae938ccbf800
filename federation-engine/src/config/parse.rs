//! Converts the file as written to a configuration that is consistent in itself. Pure; an error is the path of the
//! field and the reason.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use crds::backend::S2S_PORT;
use crds::contact::MAX_ADDRESSES;
use crds::effective::effective;
use crds::engine_file::{
    EngineFile, FileBackend, FileDomain, FileListen, FilePeer, FileServer, SplitHorizon,
};
use crds::limits::EffectiveLimits;
use crds::pattern::DomainPattern;
use crds::peer::PeerSettings;
use crds::target::{RouteHost, RouteTarget};
use ipnet::{IpNet, Ipv4Net};

use crate::Domain;
use crate::config::error::ConfigErrorKind;
use crate::config::peer::Peer;
use crate::config::resolve::Peers;
use crate::config::{Attachment, Backend, Config, LocalDomain, range};

/// Entries of `domains`.
pub const MAX_DOMAINS: usize = 256;
/// Entries of `backends`.
pub const MAX_BACKENDS: usize = 64;
/// Entries of `peers`.
pub const MAX_PEERS: usize = 4096;
/// Entries of `splitHorizon.clients`.
pub const MAX_CLIENT_NETWORKS: usize = 1024;
/// Entries of `listen.proxyProtocol.trustedSources`.
pub const MAX_TRUSTED_SOURCES: usize = 1024;
/// Entries of `claimCheck.peers`.
pub const MAX_CLAIM_CHECKS: usize = 32;
/// Entries of `policy.rules`.
pub const MAX_RULES: usize = 4096;

type Parsed<T> = Result<T, (String, ConfigErrorKind)>;

/// Checks the relations between values, and fills in defaults. `hash` is that of the file.
///
/// # Errors
/// The path of the first invalid field, and the reason.
pub fn parse(file: EngineFile, hash: String) -> Parsed<Config> {
    bounded("domains", file.domains.len(), MAX_DOMAINS)?;
    bounded("backends", file.backends.len(), MAX_BACKENDS)?;
    bounded("peers", file.peers.len(), MAX_PEERS)?;
    bounded("policy.rules", file.policy.rules.len(), MAX_RULES)?;
    bounded("claimCheck.peers", file.claim_check.peers.len(), MAX_CLAIM_CHECKS)?;
    file_names(&file)?;
    range::check(&file.limits).map_err(below("limits"))?;
    range::check(&file.timeouts).map_err(below("timeouts"))?;
    if let Some(traces) = &file.observability.traces {
        range::check(traces).map_err(below("observability.traces"))?;
    }

    let not_in_effect = file.not_in_effect();
    let host = host(file.host, &file.domains)?;
    let probe_domain = Domain::parse(&format!("xfed-probe.{host}"))
        .map_err(|_| ("host".to_owned(), ConfigErrorKind::HostTooLong(host.clone())))?;
    let backends = backends(file.backends)?;
    let domains = domains(file.domains, &backends, &probe_domain)?;
    let limits = file.limits.resolve();
    let peers = peers(&file.peer_defaults, file.peers, &domains, &limits)?;
    listeners(&file.listen)?;
    resolvers(&file.resolvers)?;
    let split_horizon = split_horizon(file.split_horizon, &file.listen, &backends)?;
    Ok(Config {
        hash,
        host,
        probe_domain,
        domains,
        backends,
        certificates: file.tls.certificates,
        trust: file.tls.trust,
        backend_ca: file.backend_ca,
        dialback: file.dialback,
        peers,
        policy: file.policy,
        limits,
        timeouts: file.timeouts.resolve(),
        allow_networks: file.egress.allow_networks,
        listen: file.listen,
        resolvers: file.resolvers,
        dnssec: file.dnssec,
        claim_check: file.claim_check,
        observability: file.observability,
        split_horizon,
        not_in_effect,
    })
}

fn at(field: impl Into<String>, kind: ConfigErrorKind) -> (String, ConfigErrorKind) {
    (field.into(), kind)
}

/// Puts the path of a struct before the path of its field.
fn below(parent: &str) -> impl Fn((String, ConfigErrorKind)) -> (String, ConfigErrorKind) + '_ {
    move |(field, kind)| {
        let path = if field.is_empty() { parent.to_owned() } else { format!("{parent}.{field}") };
        (path, kind)
    }
}

fn bounded(field: &str, length: usize, limit: usize) -> Parsed<()> {
    if length > limit { Err(at(field, ConfigErrorKind::TooMany { limit })) } else { Ok(()) }
}

fn host(given: Option<Domain>, domains: &[FileDomain]) -> Parsed<Domain> {
    let Some(first) = domains.first() else { return Err(at("domains", ConfigErrorKind::Empty)) };
    match given {
        Some(host) => Ok(host),
        None => Domain::parse(&format!("xmpp.{}", first.name))
            .map_err(|_| at("domains[0].name", ConfigErrorKind::HostTooLong(first.name.clone()))),
    }
}

fn backends(given: Vec<FileBackend>) -> Parsed<Vec<Arc<Backend>>> {
    let mut names = HashSet::new();
    let backend = |(index, entry): (usize, FileBackend)| {
        let field = format!("backends[{index}]");
        let FileBackend { name, server, component } = entry;
        let usable = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(usable) {
            return Err(at(format!("{field}.name"), ConfigErrorKind::BackendName));
        }
        if !names.insert(name.clone()) {
            return Err(at(format!("{field}.name"), ConfigErrorKind::DuplicateBackend(name)));
        }
        let attachment = match (server, component) {
            (Some(server), None) => server_attachment(server)
                .map_err(|kind| at(format!("{field}.server.host"), kind))?,
            (None, Some(component)) => Attachment::Component(component),
            _ => return Err(at(field, ConfigErrorKind::BackendKind)),
        };
        Ok(Arc::new(Backend { name, attachment }))
    };
    given.into_iter().enumerate().map(backend).collect()
}

fn server_attachment(server: FileServer) -> Result<Attachment, ConfigErrorKind> {
    let FileServer { host, port, authentication, trust } = server;
    let host = host.parse::<RouteHost>().map_err(|_| ConfigErrorKind::Host(host))?;
    let port = port.or(NonZeroU16::new(S2S_PORT)).unwrap_or(NonZeroU16::MIN);
    Ok(Attachment::Server { target: RouteTarget { host, port }, authentication, trust })
}

fn domains(
    given: Vec<FileDomain>,
    backends: &[Arc<Backend>],
    probe_domain: &Domain,
) -> Parsed<Vec<LocalDomain>> {
    let mut seen = HashSet::new();
    let mut domains = Vec::with_capacity(given.len());
    for (index, FileDomain { name, backend, contact, show_version }) in
        given.into_iter().enumerate()
    {
        if name == *probe_domain {
            return Err(at(
                format!("domains[{index}].name"),
                ConfigErrorKind::ProbeDomainTaken(name),
            ));
        }
        if !seen.insert(name.clone()) {
            return Err(at(
                format!("domains[{index}].name"),
                ConfigErrorKind::DuplicateDomain(name),
            ));
        }
        let backend = match backend {
            None => backends.first().cloned(),
            Some(wanted) => {
                let Some(found) = backends.iter().find(|backend| backend.name == wanted) else {
                    let known = backends.iter().map(|backend| backend.name.clone()).collect();
                    let kind = ConfigErrorKind::UnknownBackend { name: wanted, known };
                    return Err(at(format!("domains[{index}].backend"), kind));
                };
                Some(Arc::clone(found))
            }
        };
        for (role, addresses) in contact.roles() {
            let field = format!("domains[{index}].contact.{role}");
            bounded(&field, addresses.len(), MAX_ADDRESSES)?;
        }
        domains.push(LocalDomain { name, backend, contact, show_version });
    }
    domains.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(domains)
}

fn peers(
    defaults: &PeerSettings<PathBuf>,
    given: Vec<FilePeer>,
    domains: &[LocalDomain],
    limits: &EffectiveLimits,
) -> Parsed<Peers> {
    let in_defaults = below("peerDefaults");
    if let Some(own) = &defaults.limits {
        range::check(own).map_err(below("peerDefaults.limits"))?;
    }
    let default_peer = Peer::parse(None, effective(defaults, None), limits).map_err(in_defaults)?;
    let mut table = Peers::new(default_peer);
    for (index, entry) in given.into_iter().enumerate() {
        let field = format!("peers[{index}]");
        let (pattern, settings) = entry.split();
        if let DomainPattern::Exact(name) = &pattern
            && domains.iter().any(|local| local.name == *name)
        {
            let kind = ConfigErrorKind::LocalDomainAsPeer(name.clone());
            return Err(at(format!("{field}.domain"), kind));
        }
        if let Some(own) = &settings.limits {
            range::check(own).map_err(below(&format!("{field}.limits")))?;
        }
        let merged = effective(defaults, Some(&settings));
        let peer = Peer::parse(Some(pattern.clone()), merged, limits).map_err(below(&field))?;
        if !table.insert(&pattern, peer) {
            return Err(at(format!("{field}.domain"), ConfigErrorKind::DuplicatePeer(pattern)));
        }
    }
    Ok(table)
}

/// Two TCP listeners collide when their ports are equal and their addresses are, or one of them is a wildcard. Port 0 is
/// chosen by the operating system and collides with nothing.
fn listeners(listen: &FileListen) -> Parsed<()> {
    let proxies = listen.proxy_protocol.as_ref().map(|protocol| &*protocol.trusted_sources);
    let (field, proxies) = ("listen.proxyProtocol.trustedSources", proxies.unwrap_or_default());
    bounded(field, proxies.len(), MAX_TRUSTED_SOURCES)?;
    if let Some(index) = proxies.iter().position(|network| network.prefix_len() == 0) {
        return Err(at(format!("{field}[{index}]"), ConfigErrorKind::EverySourceTrusted));
    }
    let mut taken: Vec<(&'static str, SocketAddr)> = Vec::new();
    for (field, address) in [
        ("listen.s2s", listen.s2s),
        ("listen.s2sTls", listen.s2s_tls),
        ("listen.backend", listen.backend),
        ("listen.component", listen.component),
        ("listen.dns", listen.dns),
        ("listen.admin", listen.admin),
        ("listen.control.address", listen.control.as_ref().map(|control| control.address)),
    ] {
        let Some(address) = address else { continue };
        let collides = |other: SocketAddr| {
            other.port() == address.port()
                && (other.ip() == address.ip()
                    || other.ip().is_unspecified()
                    || address.ip().is_unspecified())
        };
        if let Some((other, _)) = taken.iter().find(|(_, other)| collides(*other)) {
            return Err(at(field, ConfigErrorKind::DuplicatePort { address, other }));
        }
        if address.port() != 0 {
            taken.push((field, address));
        }
    }
    Ok(())
}

fn resolvers(given: &[SocketAddr]) -> Parsed<()> {
    for (index, resolver) in given.iter().enumerate() {
        if resolver.port() == 0 || resolver.ip().is_unspecified() {
            return Err(at(format!("resolvers[{index}]"), ConfigErrorKind::Resolver(*resolver)));
        }
    }
    Ok(())
}

/// With the default of `clients`: hosts that the file names as backends, and this machine.
fn split_horizon(
    given: Option<SplitHorizon>,
    listen: &FileListen,
    backends: &[Arc<Backend>],
) -> Parsed<Option<SplitHorizon>> {
    let Some(mut split) = given else { return Ok(None) };
    if split.address.is_unspecified() {
        return Err(at("splitHorizon.address", ConfigErrorKind::UnspecifiedAddress(split.address)));
    }
    bounded("splitHorizon.clients", split.clients.len(), MAX_CLIENT_NETWORKS)?;
    if split.clients.is_empty() {
        let loopback = [
            Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).trunc().into(),
            IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
        ];
        let own = listen.dns.map(|dns| dns.ip()).filter(|ip| !ip.is_unspecified());
        let hosts = backends.iter().filter_map(|backend| match &backend.attachment {
            Attachment::Server {
                target: RouteTarget { host: RouteHost::Address(address), .. },
                ..
            } => Some(*address),
            Attachment::Server { .. } | Attachment::Component(_) => None,
        });
        let hosts = hosts.chain(own).chain([split.address]);
        let networks: Vec<IpNet> = loopback
            .into_iter()
            .chain(hosts.map(|host| IpNet::from(host.to_canonical())))
            .collect();
        split.clients = IpNet::aggregate(&networks);
    }
    Ok(Some(split))
}

/// An empty file name is a mistake in a template. Whether a named file is usable is found out when it is read.
fn file_names(file: &EngineFile) -> Parsed<()> {
    let pairs = (file.tls.certificates.iter().enumerate())
        .map(|(index, pair)| (format!("tls.certificates[{index}]"), pair))
        .flat_map(|(field, pair)| {
            [
                (format!("{field}.certificateFile"), &pair.certificate_file),
                (format!("{field}.privateKeyFile"), &pair.private_key_file),
            ]
        });
    let backend_ca = file.backend_ca.iter().flat_map(|ca| {
        let signs_from = ca.signs_from_file.as_ref();
        let signs_from = signs_from.map(|path| ("backendCa.signsFromFile".to_owned(), path));
        [
            ("backendCa.certificateFile".to_owned(), &ca.certificate_file),
            ("backendCa.privateKeyFile".to_owned(), &ca.private_key_file),
        ]
        .into_iter()
        .chain(signs_from)
    });
    let bundles = (file.tls.trust.bundles.iter().enumerate())
        .map(|(index, path)| (format!("tls.trust.bundles[{index}]"), path));
    let secrets = (file.dialback.iter())
        .map(|dialback| ("dialback.secretFile".to_owned(), &dialback.secret_file));
    let control = file.listen.control.iter().flat_map(|control| {
        [
            ("listen.control.certificateFile".to_owned(), &control.certificate_file),
            ("listen.control.privateKeyFile".to_owned(), &control.private_key_file),
            ("listen.control.tokenFile".to_owned(), &control.token_file),
        ]
    });
    let anchors =
        (file.dnssec.trust_anchors.iter()).map(|path| ("dnssec.trustAnchors".to_owned(), path));
    match pairs
        .chain(backend_ca)
        .chain(bundles)
        .chain(secrets)
        .chain(control)
        .chain(anchors)
        .find(|(_, path)| path.as_os_str().is_empty())
    {
        Some((field, _)) => Err(at(field, ConfigErrorKind::EmptyPath)),
        None => Ok(()),
    }
}
