//! Finds the servers that are authoritative for a name. They are queried directly, because a recursive resolver caches for
//! minutes that a record did not exist.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use federation_engine::dns::ask::{Code, Data, Kind, Mode, Reply, ask};

/// Time limit for one answer.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the servers of a zone are cached.
const ZONE_TTL: Duration = Duration::from_mins(5);
/// How long a failure to find them is cached.
const FAILED_ZONE_TTL: Duration = Duration::from_secs(20);
/// Servers to query for each zone.
const MAX_SERVERS: usize = 4;
/// Zones in the cache.
const MAX_ZONES: usize = 1024;
/// The DNS port.
const PORT: u16 = 53;

/// The authoritative servers of a name, or why they are not known.
pub type Servers = Result<Vec<SocketAddr>, String>;

/// Caches the servers of the zones that were queried.
#[derive(Debug, Default)]
pub struct Zones {
    known: Mutex<HashMap<Asked, Known>>,
}

/// A domain, and the resolvers that were queried about it.
type Asked = (String, Vec<SocketAddr>);
/// When they were queried, and what they answered.
type Known = (Instant, Servers);

impl Zones {
    /// The authoritative servers of the zone that holds `domain` (ASCII, without trailing dot), as `resolvers` know them.
    pub async fn servers(&self, domain: &str, resolvers: &[SocketAddr]) -> Servers {
        let key = (domain.to_owned(), resolvers.to_vec());
        if let Some((at, servers)) =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
        {
            let kept = if servers.is_ok() { ZONE_TTL } else { FAILED_ZONE_TTL };
            if at.elapsed() < kept {
                return servers.clone();
            }
        }
        let servers = find(domain, resolvers).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_ZONES {
            known.clear();
        }
        known.insert(key, (Instant::now(), servers.clone()));
        servers
    }
}

/// Walks up from the domain to the next zone cut, but never queries the root.
async fn find(domain: &str, resolvers: &[SocketAddr]) -> Servers {
    let mut name = domain;
    let mut trouble = None;
    loop {
        match recursive(name, Kind::Ns, resolvers).await {
            Ok(reply) => {
                let names: Vec<&String> = reply
                    .answers
                    .iter()
                    .filter_map(|entry| match &entry.data {
                        Data::Ns(server) if entry.name == name => Some(server),
                        _ => None,
                    })
                    .take(MAX_SERVERS)
                    .collect();
                if !names.is_empty() {
                    return addresses(name, &names, &reply, resolvers).await;
                }
            }
            Err(why) => trouble = Some(why),
        }
        match name.split_once('.') {
            Some((_, parent)) if parent.contains('.') || name == domain => name = parent,
            _ => break,
        }
    }
    Err(trouble
        .unwrap_or_else(|| format!("found no name server for {domain} or its parent domains")))
}

async fn addresses(
    zone: &str,
    names: &[&String],
    reply: &Reply,
    resolvers: &[SocketAddr],
) -> Servers {
    let mut found: Vec<IpAddr> = Vec::new();
    for name in names {
        let glue = reply.additionals.iter().filter(|entry| entry.name == **name);
        let before = found.len();
        found.extend(glue.filter_map(|entry| match entry.data {
            Data::Address(address) => Some(address),
            _ => None,
        }));
        if found.len() == before {
            for kind in [Kind::A, Kind::Aaaa] {
                if let Ok(reply) = recursive(name, kind, resolvers).await {
                    found.extend(reply.addresses());
                }
            }
        }
    }
    // IPv4 first: many pods have no way out over IPv6.
    found.sort_by_key(IpAddr::is_ipv6);
    found.dedup();
    found.truncate(MAX_SERVERS);
    if found.is_empty() {
        return Err(format!("the name servers of {zone} have no address record"));
    }
    Ok(found.into_iter().map(|address| SocketAddr::new(address, PORT)).collect())
}

/// The first usable answer of the resolvers, in their order.
///
/// # Errors
/// Why no resolver answered.
pub async fn recursive(name: &str, kind: Kind, resolvers: &[SocketAddr]) -> Result<Reply, String> {
    let mut trouble = "no resolver is configured".to_owned();
    for resolver in resolvers {
        match ask(*resolver, name, kind, Mode::Recursive, QUERY_TIMEOUT).await {
            Ok(reply) if matches!(reply.code, Code::NoError | Code::NxDomain) => return Ok(reply),
            Ok(reply) => trouble = format!("resolver {resolver} answers {}", reply.code),
            Err(error) => trouble = error.to_string(),
        }
    }
    Err(trouble)
}
