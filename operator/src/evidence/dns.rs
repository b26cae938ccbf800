//! What DNS has for the records of a federation. The zone's authoritative servers are queried first, and the recursive
//! resolvers only for records that are already as wanted. A resolver that is queried too early caches the negative answer
//! for minutes, and serves it to every peer that uses it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crds::federation::dns::ResolverAddress;
use federation_engine::dns::ask::{Code, Data, Kind, Mode, Reply, ask};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::answer::{Answer, NameEvidence, NoAnswer};
use super::owner::{self, RecordOwner};
use super::zone::{QUERY_TIMEOUT, Servers, Zones};
use crate::build::Address;
use crate::dns::wanted::{self, Srv, WantedSrv};
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
    /// The name that the host is an alias of (CNAME); only queried if the load balancer has a host name.
    pub host_alias: Option<String>,
    /// Address records of the load balancer's own host name, if it has one.
    pub load_balancer: Option<NameEvidence<IpAddr>>,
    /// SRV records, by owner name without trailing dot.
    pub services: Vec<(String, NameEvidence<Srv>)>,
    /// The instances of external-dns that own records which are not as wanted, by owner name of the record.
    pub owners: Vec<(String, RecordOwner)>,
}

impl DnsEvidence {
    /// The instance of external-dns that owns the records of a name, as far as it was looked for.
    pub fn owner(&self, name: &str) -> Option<&RecordOwner> {
        self.owners.iter().find(|(owned, _)| owned == name).map(|(_, owner)| owner)
    }

    /// Time after which the first cached answer of a resolver expires.
    pub fn lowest_ttl(&self) -> Option<SignedDuration> {
        let services = self.services.iter().filter_map(|(_, found)| found.lowest_ttl());
        let load_balancer = self.load_balancer.as_ref().and_then(NameEvidence::lowest_ttl);
        let seconds = services.chain(self.host.lowest_ttl()).chain(load_balancer).min()?;
        Some(SignedDuration::from_secs(seconds.into()))
    }
}

/// What the answers are compared with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LookedFor {
    /// Host, in ASCII.
    pub host: String,
    /// Addresses that the host should have.
    pub addresses: Vec<IpAddr>,
    /// The load balancer's own host name, if it has one instead of addresses.
    pub load_balancer: Option<String>,
    /// The SRV records.
    pub services: Vec<WantedSrv>,
    /// Recursive resolvers to query.
    pub resolvers: Vec<SocketAddr>,
}

impl LookedFor {
    /// What a federation wants to see, given what the load balancer gave.
    pub fn of(federation: &Validated, address: Option<&Address>, resolvers: &[SocketAddr]) -> Self {
        // The names are queried even without a target, because they may already have foreign records.
        let target = wanted::srv_target(federation, address).unwrap_or_default();
        Self {
            host: federation.host.to_ascii(),
            addresses: wanted::host_addresses(address),
            load_balancer: match address {
                Some(Address::Hostname(_)) => Some(target.clone()),
                Some(Address::Ips(_)) | None => None,
            },
            services: wanted::srv_records(federation, &target),
            resolvers: resolvers.to_vec(),
        }
    }
}

/// Queries all names.
pub async fn gather(looked_for: LookedFor, zones: &Zones, now: Timestamp) -> DnsEvidence {
    let resolvers = &looked_for.resolvers;
    let wanted = looked_for.services.clone();
    let services = futures::stream::iter(wanted.into_iter().map(|wanted| async move {
        let WantedSrv { owner, srv, domain, .. } = wanted;
        let in_place = |found: &BTreeSet<Srv>| found.iter().any(|found| leads_to(found, &srv));
        let domain = domain.to_ascii();
        let found =
            name(&owner, &domain, &[Kind::Srv], resolvers, zones, srv_records, in_place).await;
        (owner, found)
    }))
    .buffered(PARALLEL)
    .collect::<Vec<_>>();
    let (services, (host, host_alias, load_balancer)) =
        tokio::join!(services, addresses_of(&looked_for, zones));
    let mut evidence = DnsEvidence {
        at: now,
        host,
        host_alias,
        load_balancer,
        services,
        owners: Vec::new(),
        looked_for,
    };
    evidence.owners = owner::gather(&evidence, zones).await;
    evidence
}

/// Addresses of the host, what it is an alias of, and the addresses of the load balancer's name.
async fn addresses_of(
    looked_for: &LookedFor,
    zones: &Zones,
) -> (NameEvidence<IpAddr>, Option<String>, Option<NameEvidence<IpAddr>>) {
    let (host, resolvers) = (looked_for.host.as_str(), looked_for.resolvers.as_slice());
    let in_place = |found: &BTreeSet<IpAddr>| {
        !found.is_empty() && looked_for.addresses.iter().all(|wanted| found.contains(wanted))
    };
    match looked_for.load_balancer.as_deref() {
        None => {
            let of_host = name(host, host, &ADDRESSES, resolvers, zones, addresses, in_place);
            (of_host.await, None, None)
        }
        Some(load_balancer) => {
            let ((host, alias), load_balancer) = tokio::join!(
                behind_a_name(host, resolvers, zones),
                name(
                    load_balancer,
                    load_balancer,
                    &ADDRESSES,
                    resolvers,
                    zones,
                    addresses,
                    in_place
                )
            );
            (host, alias, Some(load_balancer))
        }
    }
}

/// The record types of addresses.
const ADDRESSES: [Kind; 2] = [Kind::A, Kind::Aaaa];

/// Addresses of a host that may be an alias of a name in another zone, whose addresses only a resolver knows. Resolvers
/// are queried once the zone has some record of the host.
async fn behind_a_name(
    host: &str,
    resolvers: &[SocketAddr],
    zones: &Zones,
) -> (NameEvidence<IpAddr>, Option<String>) {
    let Ok(servers) = zones.servers(host, resolvers).await else {
        return (NameEvidence::default(), None);
    };
    let mut exists = false;
    let mut alias = None;
    for server in &servers {
        let reply = ask(*server, host, Kind::A, Mode::Authoritative, QUERY_TIMEOUT).await;
        let Ok(reply) = reply else { continue };
        exists |= !reply.answers.is_empty();
        alias = alias.or_else(|| {
            reply.answers.into_iter().find_map(|entry| match entry.data {
                Data::Cname(target) if entry.name == host => Some(target),
                _ => None,
            })
        });
    }
    if !exists {
        return (NameEvidence::default(), None);
    }
    let public = every(resolvers, host, &ADDRESSES, Mode::Recursive, addresses).await;
    (NameEvidence { zone: Vec::new(), public }, alias)
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
        Ok(servers) => every(&servers, owner, kinds, Mode::Authoritative, records).await,
        Err(why) => {
            let server = "authoritative servers".to_owned();
            vec![Answer { server, found: Err(why.into()), ttl: None }]
        }
    };
    let reported = || zone.iter().filter_map(|answer| answer.found.as_ref().ok());
    let public = if reported().all(in_place) {
        every(resolvers, owner, kinds, Mode::Recursive, records).await
    } else {
        Vec::new()
    };
    NameEvidence { zone, public }
}

async fn every<T: Ord + Clone>(
    servers: &[SocketAddr],
    owner: &str,
    kinds: &[Kind],
    mode: Mode,
    records: fn(&Reply) -> BTreeSet<T>,
) -> Vec<Answer<T>> {
    futures::future::join_all(servers.iter().map(|server| async move {
        let mut all = BTreeSet::new();
        let mut ttl = None;
        for kind in kinds {
            match one(*server, owner, *kind, mode).await {
                Ok(reply) => {
                    let kept = lifetime(&reply);
                    ttl = ttl.into_iter().chain(kept).min();
                    all.extend(records(&reply));
                }
                Err(why) => {
                    let server = ResolverAddress(*server).to_string();
                    return Answer { server, found: Err(why), ttl: None };
                }
            }
        }
        Answer { server: ResolverAddress(*server).to_string(), found: Ok(all), ttl }
    }))
    .await
}

/// Seconds for which a resolver keeps a reply.
fn lifetime(reply: &Reply) -> Option<u32> {
    let records = reply.answers.iter().map(|entry| entry.ttl).min();
    records.or_else(|| reply.negative_ttl())
}

/// A usable reply: the records of the name, or that it has none.
async fn one(server: SocketAddr, owner: &str, kind: Kind, mode: Mode) -> Result<Reply, NoAnswer> {
    let reply = ask(server, owner, kind, mode, QUERY_TIMEOUT).await;
    let reply = reply.map_err(|error| NoAnswer::Failed(error.to_string()))?;
    let is_answer = |reply: &Reply| matches!(reply.code, Code::NoError | Code::NxDomain);
    if mode == Mode::Recursive && reply.code == Code::ServFail {
        // A validating resolver answers like this for a bogus zone (RFC 4035 §5.5), and for a zone that it cannot reach.
        let unchecked = ask(server, owner, kind, Mode::WithoutValidation, QUERY_TIMEOUT).await;
        if unchecked.is_ok_and(|reply| is_answer(&reply)) {
            return Err(NoAnswer::Bogus);
        }
        return Err(NoAnswer::ServFail);
    }
    if !is_answer(&reply) {
        return Err(NoAnswer::Failed(format!("it answers {}", reply.code)));
    }
    if mode == Mode::Authoritative && !reply.authoritative && reply.answers.is_empty() {
        return Err(NoAnswer::NotAuthoritative);
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use federation_engine::dns::ask::Entry;

    use super::*;

    fn reply(answers: &[u32], authorities: Vec<Entry>) -> Reply {
        let address = Data::Address("192.0.2.7".parse().unwrap());
        let entry =
            |ttl: &u32| Entry { name: "a.example".into(), ttl: *ttl, data: address.clone() };
        Reply {
            code: Code::NoError,
            authoritative: false,
            recursion_available: true,
            answers: answers.iter().map(entry).collect(),
            authorities,
            additionals: Vec::new(),
        }
    }

    #[test]
    fn rfc2308_5_a_resolver_keeps_an_answer_for_its_lowest_ttl_or_the_negative_one() {
        let soa = Data::Soa { primary: "ns.example".into(), serial: 1, minimum: 30 };
        let soa = |ttl| vec![Entry { name: "example".into(), ttl, data: soa.clone() }];
        assert_eq!(lifetime(&reply(&[300, 60], Vec::new())), Some(60));
        assert_eq!(lifetime(&reply(&[], soa(3600))), Some(30));
        assert_eq!(lifetime(&reply(&[], soa(7))), Some(7));
        assert_eq!(lifetime(&reply(&[], Vec::new())), None);
    }
}
