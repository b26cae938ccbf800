//! The outer resolver: a thin shell around hickory that keeps "does not exist" and "could not find out" apart.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::Stream;
use futures::stream::FuturesUnordered;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use tokio::time::timeout;

use super::ask::{absolute, srv_record};
use super::cache::Cache;
use super::plan::{Answer, Answers, MAX_TARGETS, SrvRecord, Target, plan};
use crate::Domain;
use crate::reason::DnsReason;

/// For one question to one server.
const ATTEMPT: Duration = Duration::from_secs(2);
/// For one question in all, repetitions and TCP included.
const PATIENCE: Duration = Duration::from_secs(8);
/// Addresses of one family kept of one host.
pub const MAX_ADDRESSES: usize = 16;

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// No `resolvers` are configured and the system has none either.
    #[error("the system's resolver configuration is unusable: {0}; set `resolvers`")]
    System(String),
    /// hickory refused its configuration.
    #[error("cannot start the resolver: {0}")]
    Start(String),
}

/// Asks the configured recursive resolvers. Never to be pointed at the split-horizon responder: the engine would then dial
/// itself for every domain.
#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
    services: Arc<Cache<SrvRecord>>,
    hosts: Arc<Cache<IpAddr>>,
}

/// The recursive resolvers that the system is configured with.
///
/// # Errors
/// When the configuration is unreadable or names no server.
pub fn system_servers() -> Result<Vec<SocketAddr>, ResolverError> {
    let (config, _) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|error| ResolverError::System(error.to_string()))?;
    let servers: Vec<_> = config
        .name_servers()
        .iter()
        .filter_map(|server| Some(SocketAddr::new(server.ip, server.connections.first()?.port)))
        .collect();
    if servers.is_empty() {
        return Err(ResolverError::System("it names no server".to_owned()));
    }
    Ok(servers)
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Uses these servers in this order, or the system's when there are none.
    ///
    /// # Errors
    /// See [`ResolverError`].
    pub fn new(servers: &[SocketAddr]) -> Result<Self, ResolverError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if servers.is_empty() {
            TokioResolver::builder(provider)
                .map_err(|error| ResolverError::System(error.to_string()))?
        } else {
            let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
            let mut builder = TokioResolver::builder_with_config(config, provider);
            let options = builder.options_mut();
            options.use_hosts_file = ResolveHosts::Never;
            options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
            builder
        };
        let options = builder.options_mut();
        options.timeout = ATTEMPT;
        options.attempts = 2;
        options.try_tcp_on_error = true;
        // Answers are kept in `Cache`, in bounded form.
        options.cache_size = 0;
        let inner = builder.build().map_err(|error| ResolverError::Start(error.to_string()))?;
        Ok(Self { inner, services: Arc::new(Cache::new()), hosts: Arc::new(Cache::new()) })
    }

    /// SRV records of a domain. `direct_tls` asks for `_xmpps-server` as well; `legacy` asks for `_jabber` when the others
    /// do not exist.
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
        let absent = xmpp == Answer::Absent && matches!(xmpps, None | Some(Answer::Absent));
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

    /// Addresses of a host: IPv6 and IPv4 are asked for at the same time, IPv6 first, and the answers come as they arrive
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

    async fn srv(&self, name: Name) -> Answer<SrvRecord> {
        self.lookup(&self.services, (name, RecordType::SRV), |data| match data {
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
        if let Some(known) = cache.get(&key, Instant::now()) {
            return known;
        }
        let (name, kind) = key.clone();
        let (answer, ttl) = match timeout(PATIENCE, self.inner.lookup(name, kind)).await {
            Err(_) => {
                return Answer::Failed(format!("no answer within {} s", PATIENCE.as_secs()));
            }
            Ok(Err(error)) => (failure(&error), negative_ttl(&error)),
            Ok(Ok(lookup)) => {
                let records = lookup.answers().iter().filter_map(|record| read(&record.data));
                let records = T::bound(records.collect());
                // Only aliases, which lead to nothing of the type.
                let answer =
                    if records.is_empty() { Answer::Absent } else { Answer::Records(records) };
                (answer, lookup.valid_until().saturating_duration_since(Instant::now()))
            }
        };
        cache.put(key, &answer, ttl, Instant::now());
        answer
    }
}

/// Records of which only so many are ever used.
trait Bounded: Clone {
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

/// Without a SOA, absence is not kept (RFC 2308 §5).
fn negative_ttl(error: &NetError) -> Duration {
    let seconds = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.negative_ttl.unwrap_or(0),
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

/// NXDOMAIN and NODATA are knowledge; everything else is ignorance.
fn failure<T>(error: &NetError) -> Answer<T> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            // A referral: the server does not recurse, so it says nothing about the name.
            ResponseCode::NoError if none.ns.is_some() && none.soa.is_none() => {
                Answer::Failed("the resolver does not recurse".to_owned())
            }
            ResponseCode::NXDomain | ResponseCode::NoError => Answer::Absent,
            code => Answer::Failed(code.to_string()),
        },
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
