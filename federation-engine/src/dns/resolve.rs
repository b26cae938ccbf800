//! The outer resolver: a thin layer around hickory that distinguishes "does not exist" from "could not find out".

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::dnssec::DnssecMode;
use crds::engine_file::FileDnssec;
use futures::Stream;
use futures::stream::FuturesUnordered;
use hickory_proto::dnssec::Proof;
use hickory_proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::Hosts;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::system_conf::read_system_conf;
use s2s_proto::certificate::tlsa::Tlsa;
use s2s_proto::plan::{Answer, Answers, MAX_TARGETS, SrvRecord, Target, ValidatedAnswer, plan};
use s2s_proto::reason::DnsReason;
use tokio::time::timeout;

use super::anchors::{Anchors, AnchorsError};
use super::ask::{absolute, srv_record};
use super::cache::Cache;
use super::lookup::{self, Found, Servers};
use super::validate::{Validator, is_secure};
use crate::Domain;

/// Timeout for one query to one server.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout for one lookup, including retries and TCP.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);
/// Addresses of one family kept of one host.
pub const MAX_ADDRESSES: usize = 16;
/// Sets of TLSA records kept: they are larger than other answers, and few peers have any.
const MAX_TLSA_ANSWERS: NonZeroUsize = match NonZeroUsize::new(64) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};

/// Why the resolver cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// No `resolvers` are configured, and the system has none either.
    #[error("cannot use the system's resolver configuration: {0}; correct it, or set `resolvers`")]
    System(String),
    /// The trust anchors of DNSSEC are missing.
    #[error("dnssec.trustAnchors: {0}")]
    Anchors(#[from] AnchorsError),
    /// hickory refused its configuration.
    #[error("cannot start the resolver: {0}")]
    Start(String),
}

/// Queries the configured recursive resolvers. Must never use the split-horizon responder: the engine would then
/// connect to itself for every domain.
#[derive(Clone)]
pub struct Resolver {
    servers: Servers,
    options: DnsRequestOptions,
    /// Names of the system's hosts file, which are unsigned and precede DNS.
    file: Arc<Hosts>,
    /// `None`: answers are not validated.
    validator: Option<(Arc<Validator>, Anchors)>,
    services: Arc<Cache<SrvRecord>>,
    pub(super) hosts: Arc<Cache<IpAddr>>,
    /// Cache of [`Self::unvalidated`]: unvalidated answers are never used where validated ones are required.
    unvalidated_hosts: Arc<Cache<IpAddr>>,
    pub(super) associations: Arc<Cache<Tlsa>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Uses these servers in this order, or the system's when there are none. Answers are not validated.
    ///
    /// # Errors
    /// See [`ResolverError`].
    pub fn new(servers: &[SocketAddr]) -> Result<Self, ResolverError> {
        let (config, options) = configuration(servers)?;
        let file = match options.use_hosts_file {
            ResolveHosts::Always | ResolveHosts::Auto => Hosts::from_system().unwrap_or_default(),
            ResolveHosts::Never => Hosts::default(),
        };
        let mut request = DnsRequestOptions::default();
        request.use_edns = options.edns0;
        request.edns_payload_len = options.edns_payload_len;
        let servers = lookup::servers(config.name_servers().to_vec(), options)
            .map_err(|error| ResolverError::Start(error.to_string()))?;
        Ok(Self {
            servers,
            options: request,
            file: Arc::new(file),
            validator: None,
            services: Arc::new(Cache::new()),
            hosts: Arc::new(Cache::new()),
            unvalidated_hosts: Arc::new(Cache::new()),
            associations: Arc::new(Cache::of(MAX_TLSA_ANSWERS)),
        })
    }

    /// The same, and validates every answer by DNSSEC if these servers return signatures, which the first lookup finds
    /// out.
    ///
    /// # Errors
    /// See [`ResolverError`].
    pub fn validating(servers: &[SocketAddr], anchors: Anchors) -> Result<Self, ResolverError> {
        let plain = Self::new(servers)?;
        let validator = Validator::new(plain.servers.clone(), plain.options, anchors.keys());
        Ok(Self { validator: Some((Arc::new(validator), anchors)), ..plain })
    }

    /// As the configuration wants it.
    ///
    /// # Errors
    /// See [`ResolverError`].
    pub fn configured(servers: &[SocketAddr], dnssec: &FileDnssec) -> Result<Self, ResolverError> {
        match wanted_anchors(dnssec)? {
            Some(anchors) => Self::validating(servers, anchors),
            None => Self::new(servers),
        }
    }

    /// Whether answers are validated according to the current configuration and the file that it names.
    ///
    /// # Errors
    /// See [`ResolverError`].
    pub fn validates_as(&self, dnssec: &FileDnssec) -> Result<bool, ResolverError> {
        Ok(wanted_anchors(dnssec)?.as_ref() == self.validator.as_ref().map(|(_, anchors)| anchors))
    }

    /// The same servers without validation, for names from the configuration and not from remote servers: private names
    /// are seldom signed, and the public DNS often denies them with signatures.
    #[must_use]
    pub fn unvalidated(&self) -> Self {
        let hosts = Arc::clone(&self.unvalidated_hosts);
        Self { validator: None, hosts, ..self.clone() }
    }

    /// SRV records of a domain. `direct_tls` queries `_xmpps-server` as well; `legacy` queries `_jabber` when the
    /// others do not exist.
    ///
    /// # Errors
    /// When the domain is too long for DNS.
    pub async fn lookup_peer(
        &self,
        domain: &Domain,
        direct_tls: bool,
        legacy: bool,
    ) -> Result<Answers, DnsReason> {
        let ascii = domain.to_ascii();
        let name = |service: &str| {
            absolute(&format!("{service}._tcp.{ascii}"))
                .ok_or_else(|| DnsReason::DomainNotFound { name: domain.to_string() })
        };
        let (xmpp, xmpps) = (name("_xmpp-server")?, name("_xmpps-server")?);
        let (xmpp, xmpps) = tokio::join!(self.srv(xmpp), async {
            if direct_tls { Some(self.srv(xmpps).await) } else { None }
        });
        let is_absent = |service: &ValidatedAnswer<SrvRecord>| service.answer == Answer::Absent;
        let absent = is_absent(&xmpp) && xmpps.as_ref().is_none_or(is_absent);
        let jabber = if legacy && absent { Some(self.srv(name("_jabber")?).await) } else { None };
        Ok(Answers { xmpp, xmpps, jabber })
    }

    /// Targets of a domain in the order to try them.
    ///
    /// # Errors
    /// See [`plan`].
    pub async fn targets(
        &self,
        domain: &Domain,
        direct_tls: bool,
        legacy: bool,
    ) -> Result<Vec<Target>, DnsReason> {
        let answers = self.lookup_peer(domain, direct_tls, legacy).await?;
        plan(domain, &answers, &mut |n| rand::random_range(0..=n))
    }

    /// Addresses of a host: IPv6 and IPv4 are queried at the same time, IPv6 first, and the answers come as they arrive
    /// (RFC 8305 §3); at most [`MAX_ADDRESSES`] in each.
    pub fn addresses(&self, name: Arc<str>) -> impl Stream<Item = Answer<IpAddr>> + Send {
        let questions = [(Arc::clone(&name), RecordType::AAAA), (name, RecordType::A)];
        FuturesUnordered::from_iter(questions.map(|(name, kind)| self.family(name, kind)))
    }

    async fn family(&self, name: Arc<str>, kind: RecordType) -> Answer<IpAddr> {
        let Some(name) = absolute(&name) else { return Answer::Absent };
        self.lookup(&self.hosts, (name, kind), |data| match data {
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        })
        .await
    }

    async fn srv(&self, name: Name) -> ValidatedAnswer<SrvRecord> {
        self.validated(&self.services, (name, RecordType::SRV), |data| match data {
            RData::SRV(srv) => Some(srv_record(srv)),
            _ => None,
        })
        .await
    }

    async fn lookup<T: Bounded>(
        &self,
        cache: &Cache<T>,
        key: (Name, RecordType),
        read: impl Fn(&RData) -> Option<T>,
    ) -> Answer<T> {
        self.validated(cache, key, read).await.answer
    }

    pub(super) async fn validated<T: Bounded>(
        &self,
        cache: &Cache<T>,
        key: (Name, RecordType),
        read: impl Fn(&RData) -> Option<T>,
    ) -> ValidatedAnswer<T> {
        if let Some(known) = cache.get(&key, Instant::now()) {
            return known;
        }
        let (name, kind) = key.clone();
        let (answer, ttl) = match timeout(LOOKUP_TIMEOUT, self.ask(name, kind)).await {
            Err(_) => {
                return Answer::Failed(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs()))
                    .into();
            }
            Ok(Err(error)) => (failure(&error).into(), negative_ttl(&error)),
            Ok(Ok(found)) => {
                let records: Vec<T> =
                    found.records.iter().filter_map(|record| read(&record.data)).collect();
                let answer = if records.is_empty() {
                    Answer::Absent.into()
                } else {
                    let secure = is_secure(&found);
                    ValidatedAnswer { answer: Answer::Records(T::bound(records)), secure }
                };
                (answer, found.ttl())
            }
        };
        cache.put(key, &answer, ttl, Instant::now());
        answer
    }

    async fn ask(&self, name: Name, kind: RecordType) -> Result<Found, NetError> {
        let query = Query::query(name, kind);
        if let Some(known) = self.file.lookup_static_host(&query) {
            return Ok(known.answers().into());
        }
        match &self.validator {
            Some((validator, _)) if validator.is_possible().await => {
                validator.lookup(query.name, kind).await
            }
            _ => lookup::lookup(&self.servers, query.name, kind, self.options).await,
        }
    }
}

/// `None`: answers are not validated.
fn wanted_anchors(dnssec: &FileDnssec) -> Result<Option<Anchors>, AnchorsError> {
    match (dnssec.mode, &dnssec.trust_anchors) {
        (DnssecMode::Off, _) => Ok(None),
        (DnssecMode::Auto, None) => Ok(Some(Anchors::default())),
        (DnssecMode::Auto, Some(file)) => Anchors::load(file).map(Some),
    }
}

/// Servers and how to query them.
fn configuration(servers: &[SocketAddr]) -> Result<(ResolverConfig, ResolverOpts), ResolverError> {
    let (config, mut options) = if servers.is_empty() {
        read_system_conf().map_err(|error| ResolverError::System(error.to_string()))?
    } else {
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        (ResolverConfig::from_name_servers(servers.iter().map(server).collect()), options)
    };
    options.timeout = ATTEMPT_TIMEOUT;
    options.attempts = 2;
    options.try_tcp_on_error = true;
    Ok((config, options))
}

/// Records of which only a limited number is used.
pub(super) trait Bounded: Clone {
    /// Keeps the best.
    fn bound(records: Vec<Self>) -> Vec<Self>;
}

impl Bounded for SrvRecord {
    fn bound(mut records: Vec<Self>) -> Vec<Self> {
        records.sort_by_key(|record| record.priority);
        records.truncate(MAX_TARGETS);
        records
    }
}

impl Bounded for IpAddr {
    fn bound(mut records: Vec<Self>) -> Vec<Self> {
        records.truncate(MAX_ADDRESSES);
        records
    }
}

/// Without a SOA, absence is not cached (RFC 2308 §5).
fn negative_ttl(error: &NetError) -> Duration {
    let seconds = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            // Where it validates, the library leaves the calculation to its caller.
            let of_soa = none.soa.as_ref().map(|soa| soa.ttl.min(soa.data.minimum));
            none.negative_ttl.or(of_soa).unwrap_or(0)
        }
        _ => 0,
    };
    Duration::from_secs(seconds.into())
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![with_port(ConnectionConfig::udp()), with_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

/// NXDOMAIN and NODATA are answers; everything else is a failure.
fn failure<T>(error: &NetError) -> Answer<T> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            // A referral: the server does not offer recursion, so it has no answer for the name.
            ResponseCode::NoError if none.ns.is_some() && none.soa.is_none() => {
                Answer::Failed("the resolver does not offer recursion".to_owned())
            }
            ResponseCode::NXDomain | ResponseCode::NoError => Answer::Absent,
            code => Answer::Failed(code.to_string()),
        },
        // Absence in a zone whose denials cost too much to verify (RFC 9276 §3.2), which counts as unsigned.
        NetError::Dns(DnsError::Nsec { proof: Proof::Insecure, .. }) => Answer::Absent,
        NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. }) => Answer::Bogus,
        NetError::Dns(DnsError::ResponseCode(code)) => Answer::Failed(code.to_string()),
        NetError::Timeout => Answer::Failed("the resolver did not answer in time".to_owned()),
        NetError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Answer::Failed("the resolver refuses connections".to_owned())
        }
        other => Answer::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
