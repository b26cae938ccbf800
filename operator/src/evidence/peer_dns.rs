//! What DNS has for the configured peers: the queries that an administrator makes by hand when a peer is not reachable. The
//! engine makes its own ones; these only explain its results.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crds::domain::Domain;
use crds::federation::dns::ResolverAddress;
use crds::pattern::DomainPattern;
use crds::status::MAX_PEERS;
use federation_engine::dns::ask::{Code, Kind, Mode, Reply, ask};
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use s2s_proto::plan::SrvRecord;

use super::background::Gather;
use super::zone::QUERY_TIMEOUT;
use crate::federation::validated::Validated;

/// Interval of the queries; peers seldom change their records.
pub const INTERVAL: Duration = Duration::from_mins(1);
/// Federations whose peers are looked up at once.
pub const LOOKUPS_AT_ONCE: usize = 8;
/// Time limit for all queries of one federation.
const DEADLINE: Duration = Duration::from_secs(30);
/// Queries that run in parallel.
const PARALLEL: usize = 4;
/// Most SRV records of a peer, and most addresses of each target.
const MAX_RECORDS: usize = 8;

/// Which peers to look up, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// The resolver; the first one of the federation.
    pub resolver: SocketAddr,
    /// The peers.
    pub peers: Vec<Domain>,
}

impl Wanted {
    /// The peers that the spec names exactly and gives no route; `None` without any, or without a resolver.
    pub fn of(federation: &Validated, resolvers: &[SocketAddr]) -> Option<Self> {
        let named = federation.spec.peers.iter().filter(|peer| peer.settings.route.is_none());
        let peers: Vec<Domain> = named
            .filter_map(|peer| match &peer.domain {
                DomainPattern::Exact(domain) => Some(domain.clone()),
                DomainPattern::Below(_) => None,
            })
            .take(MAX_PEERS)
            .collect();
        let resolver = *resolvers.first()?;
        (!peers.is_empty()).then_some(Self { resolver, peers })
    }
}

/// The records of all peers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerDnsEvidence {
    /// When they were queried.
    pub at: Timestamp,
    /// By domain.
    pub peers: BTreeMap<Domain, PeerRecords>,
}

/// The records of one peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerRecords {
    /// The resolver that was queried.
    pub resolver: String,
    /// SRV records of `_xmpp-server._tcp` in zone file form, in the order of their use.
    pub srv: Vec<String>,
    /// Address records of the targets, or of the domain itself if it has no SRV record; in zone file form.
    pub addresses: Vec<String>,
    /// Why a query failed.
    pub error: Option<String>,
}

/// Looks up the peers of a federation.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerDnsRounds;

impl Gather for PeerDnsRounds {
    type Wanted = Wanted;
    type Found = PeerDnsEvidence;

    async fn gather(&self, wanted: Wanted) -> PeerDnsEvidence {
        let at = Timestamp::now();
        let resolver = wanted.resolver;
        let peers = stream::iter(wanted.peers)
            .map(|peer| async move {
                let records = records(resolver, &peer).await;
                (peer, records)
            })
            .buffer_unordered(PARALLEL)
            .take_until(tokio::time::sleep(DEADLINE))
            .collect()
            .await;
        PeerDnsEvidence { at, peers }
    }

    fn same(one: &PeerDnsEvidence, other: &PeerDnsEvidence) -> bool {
        one.peers == other.peers
    }
}

async fn records(resolver: SocketAddr, peer: &Domain) -> PeerRecords {
    let mut found = PeerRecords {
        resolver: ResolverAddress(resolver).to_string(),
        srv: Vec::new(),
        addresses: Vec::new(),
        error: None,
    };
    let domain = peer.to_ascii();
    let services = match query(resolver, &format!("_xmpp-server._tcp.{domain}"), Kind::Srv).await {
        Ok(reply) => services(&reply),
        Err(why) => return PeerRecords { error: Some(why), ..found },
    };
    let mut hosts: Vec<String> = Vec::new();
    for (priority, weight, port, target) in services.iter().take(MAX_RECORDS) {
        if !target.is_empty() && !hosts.contains(target) {
            hosts.push(target.clone());
        }
        found.srv.push(format!("{priority} {weight} {port} {target}."));
    }
    if services.is_empty() {
        hosts.push(domain);
    }
    for host in hosts {
        for (kind, word) in [(Kind::A, "A"), (Kind::Aaaa, "AAAA")] {
            match query(resolver, &host, kind).await {
                Ok(reply) => {
                    let all: BTreeSet<_> = reply.addresses().take(MAX_RECORDS).collect();
                    found.addresses.extend(all.iter().map(|ip| format!("{host}. {word} {ip}")));
                }
                Err(why) => found.error = Some(why),
            }
        }
    }
    found.addresses.truncate(2 * MAX_RECORDS);
    found
}

/// Priority, weight, port and target, in the order of their use; an empty target means that there is no service.
fn services(reply: &Reply) -> Vec<(u16, u16, u16, String)> {
    let record = |record: &SrvRecord| {
        let target = record.target.as_deref().unwrap_or_default().trim_end_matches('.').to_owned();
        (record.priority, record.weight, record.port, target)
    };
    let mut all: Vec<_> = reply.srv().map(record).collect();
    all.sort();
    all
}

async fn query(resolver: SocketAddr, name: &str, kind: Kind) -> Result<Reply, String> {
    let reply = ask(resolver, name, kind, Mode::Recursive, QUERY_TIMEOUT).await;
    let reply = reply.map_err(|error| error.to_string())?;
    match reply.code {
        Code::NoError | Code::NxDomain => Ok(reply),
        other => Err(format!("the resolver answers {other} to the query for {name}")),
    }
}
