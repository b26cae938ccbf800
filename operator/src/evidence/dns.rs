//! What DNS has for the records of a federation. The zone's authoritative servers are queried first, and the recursive
//! resolvers only for records that are already as wanted. A resolver that is queried too early caches the negative answer
//! for minutes, and serves it to every peer that uses it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use federation_engine::dns::ask::{AskError, Code, Data, Kind, Reply, ask};
use futures::StreamExt;
use jiff::Timestamp;

use super::zone::{QUERY_TIMEOUT, Servers, Zones};
use crate::dns::wanted::{self, Srv};
use crate::federation::validated::Validated;

/// Queries that run in parallel.
const PARALLEL: usize = 8;

/// All answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DnsEvidence {
    /// When they were received.
    pub at: Timestamp,
    /// The addresses and targets that were looked for; if they change, the queries are repeated.
    pub looked_for: LookedFor,
    /// Address records of the host.
    pub host: NameEvidence<IpAddr>,
    /// SRV records, by owner name without trailing dot.
    pub services: Vec<(String, NameEvidence<Srv>)>,
}

/// What the answers are compared with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LookedFor {
    /// Host, in ASCII.
    pub host: String,
    /// Addresses that the host should have.
    pub addresses: Vec<IpAddr>,
    /// Owner names and data of the SRV records.
    pub services: Vec<(String, Srv)>,
    /// Recursive resolvers to query.
    pub resolvers: Vec<SocketAddr>,
}

/// The answers about one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameEvidence<T> {
    /// Answers of the authoritative servers; one entry with a failure if these servers are not known.
    pub zone: Vec<Answer<T>>,
    /// Answers of the recursive resolvers; empty while the zone is not as wanted.
    pub public: Vec<Answer<T>>,
}

impl<T> Default for NameEvidence<T> {
    fn default() -> Self {
        Self { zone: Vec::new(), public: Vec::new() }
    }
}

impl<T> NameEvidence<T> {
    /// Successful answers: those of the zone, or those of the resolvers if no server of the zone answers.
    pub fn best(&self) -> impl Iterator<Item = (&str, &BTreeSet<T>)> {
        let zone_answers = self.zone.iter().any(|answer| answer.found.is_ok());
        let answers = if zone_answers { &self.zone } else { &self.public };
        answers
            .iter()
            .filter_map(|answer| Some((answer.server.as_str(), answer.found.as_ref().ok()?)))
    }
}

/// The answer of one server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer<T> {
    /// The server.
    pub server: String,
    /// The records, or why the query failed.
    pub found: Result<BTreeSet<T>, String>,
}

impl LookedFor {
    /// What a federation wants to see, given what the load balancer gave.
    pub fn of(
        federation: &Validated,
        address: Option<&crate::build::Address>,
        resolvers: &[SocketAddr],
    ) -> Self {
        // The names are queried even without a target, because they may already have foreign records.
        let target = wanted::srv_target(federation, address).unwrap_or_default();
        let records = wanted::srv_records(federation, &target).into_iter();
        Self {
            host: federation.host.to_ascii(),
            addresses: wanted::host_addresses(address),
            services: records.map(|record| (record.owner, record.srv)).collect(),
            resolvers: resolvers.to_vec(),
        }
    }
}

/// Queries all names.
pub async fn gather(looked_for: LookedFor, zones: &Zones, now: Timestamp) -> DnsEvidence {
    let resolvers = &looked_for.resolvers;
    let wanted = looked_for.services.clone();
    let services = futures::stream::iter(wanted.into_iter().map(|(owner, wanted)| async move {
        let in_place = |found: &BTreeSet<Srv>| found.iter().any(|srv| leads_to(srv, &wanted));
        let domain = owner.splitn(3, '.').nth(2).unwrap_or(&owner);
        let evidence =
            name(&owner, domain, &[Kind::Srv], resolvers, zones, srv_records, in_place).await;
        (owner, evidence)
    }))
    .buffered(PARALLEL)
    .collect::<Vec<_>>();
    let in_place = |found: &BTreeSet<IpAddr>| {
        !found.is_empty() && looked_for.addresses.iter().all(|wanted| found.contains(wanted))
    };
    let host = &looked_for.host;
    let kinds = [Kind::A, Kind::Aaaa];
    let (services, host) =
        tokio::join!(services, name(host, host, &kinds, resolvers, zones, addresses, in_place));
    DnsEvidence { at: now, host, services, looked_for }
}

/// Priority and weight are up to the zone; only target and port decide where peers connect.
pub fn leads_to(found: &Srv, wanted: &Srv) -> bool {
    found.port == wanted.port && found.target == wanted.target
}

fn addresses(reply: &Reply) -> BTreeSet<IpAddr> {
    reply.addresses().collect()
}

fn srv_records(reply: &Reply) -> BTreeSet<Srv> {
    let records = reply.answers.iter().filter_map(|entry| match &entry.data {
        Data::Srv(record) => Some(Srv {
            priority: record.priority,
            weight: record.weight,
            port: record.port,
            target: record.target.as_deref().unwrap_or_default().to_owned(),
        }),
        _ => None,
    });
    records.collect()
}

async fn name<T: Ord + Clone>(
    owner: &str,
    domain: &str,
    kinds: &[Kind],
    resolvers: &[SocketAddr],
    zones: &Zones,
    records: fn(&Reply) -> BTreeSet<T>,
    in_place: impl Fn(&BTreeSet<T>) -> bool,
) -> NameEvidence<T> {
    let servers: Servers = zones.servers(domain, resolvers).await;
    let zone = match servers {
        Ok(servers) => every(&servers, owner, kinds, false, records).await,
        Err(why) => vec![Answer { server: "authoritative servers".to_owned(), found: Err(why) }],
    };
    let reported = || zone.iter().filter_map(|answer| answer.found.as_ref().ok());
    let public = if reported().all(in_place) {
        every(resolvers, owner, kinds, true, records).await
    } else {
        Vec::new()
    };
    NameEvidence { zone, public }
}

async fn every<T: Ord + Clone>(
    servers: &[SocketAddr],
    owner: &str,
    kinds: &[Kind],
    recursion: bool,
    records: fn(&Reply) -> BTreeSet<T>,
) -> Vec<Answer<T>> {
    futures::future::join_all(servers.iter().map(|server| async move {
        let mut all = BTreeSet::new();
        for kind in kinds {
            match judge(ask(*server, owner, *kind, recursion, QUERY_TIMEOUT).await, recursion) {
                Ok(reply) => all.extend(records(&reply)),
                Err(why) => {
                    return Answer { server: server.ip().to_string(), found: Err(why) };
                }
            }
        }
        Answer { server: server.ip().to_string(), found: Ok(all) }
    }))
    .await
}

/// A usable reply: the records of the name, or that it has none.
fn judge(reply: Result<Reply, AskError>, recursion: bool) -> Result<Reply, String> {
    let reply = reply.map_err(|error| error.to_string())?;
    if !matches!(reply.code, Code::NoError | Code::NxDomain) {
        return Err(format!("it answers {}", reply.code));
    }
    if !recursion && !reply.authoritative && reply.answers.is_empty() {
        return Err("it is not authoritative for the name".to_owned());
    }
    Ok(reply)
}
