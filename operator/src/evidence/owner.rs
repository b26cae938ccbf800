//! Which instance of external-dns owns a record, as its TXT registry states it. Only queried for records that are not as
//! wanted, to name who must change them.

use std::fmt;
use std::net::SocketAddr;

use federation_engine::dns::ask::{Data, Kind, Mode, ask};

use super::dns::{DnsEvidence, leads_to};
use super::zone::{QUERY_TIMEOUT, Zones};
use crate::dns::wanted::Srv;

/// Names whose owner is looked for in one pass.
const MAX_NAMES: usize = 4;

/// The owner of a record, from a TXT record such as
/// `heritage=external-dns,external-dns/owner=lab,external-dns/resource=crd/im/example-srv`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordOwner {
    /// Value of `--txt-owner-id`.
    pub id: String,
    /// The object that the record comes from, as `kind/namespace/name`.
    pub resource: Option<String>,
}

impl RecordOwner {
    /// The owner that the text of a TXT record states; `None` if it is not of external-dns.
    pub fn parse(text: &str) -> Option<Self> {
        let mut heritage = false;
        let (mut id, mut resource) = (None, None);
        for token in text.trim_matches('"').split(',') {
            match token.split_once('=') {
                Some(("heritage", value)) => heritage = value == "external-dns",
                Some(("external-dns/owner", value)) => id = Some(printable(value)),
                Some(("external-dns/resource", value)) => resource = Some(printable(value)),
                _ => {}
            }
        }
        id.filter(|_| heritage).map(|id| Self { id, resource })
    }
}

/// Anybody can write a TXT record into a zone of theirs, so only a bounded text without control characters is shown.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '"').take(128).collect()
}

impl fmt::Display for RecordOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "external-dns with owner ID \"{}\"", self.id)?;
        match &self.resource {
            Some(resource) => write!(f, " (resource {resource})"),
            None => Ok(()),
        }
    }
}

/// The names of the TXT records in which the registry keeps the owner of a record: with its default, and with a prefix
/// `%{record_type}.` as it is needed for records at the apex. Other prefixes are not known.
fn registry_names(name: &str, kind: &str) -> [String; 2] {
    [format!("{kind}-{name}"), format!("{kind}.{name}")]
}

/// Name and domain of a record, and the types that it may have.
type Named = (String, String, &'static [&'static str]);

/// Looks for the owners of the records that are not as wanted.
pub async fn gather(evidence: &DnsEvidence, zones: &Zones) -> Vec<(String, RecordOwner)> {
    let looked_for = &evidence.looked_for;
    let wrong_services = looked_for.services.iter().filter(|wanted| {
        let found = evidence.services.iter().find(|(owner, _)| *owner == wanted.owner);
        found.is_some_and(|(_, found)| {
            found.best().any(|(_, found)| {
                let is_wanted = |srv: &Srv| wanted.all().any(|wanted| leads_to(srv, wanted));
                let is_found = |wanted: &Srv| found.iter().any(|srv| leads_to(srv, wanted));
                let as_wanted = found.iter().all(is_wanted) && wanted.all().all(is_found);
                !found.is_empty() && !as_wanted
            })
        })
    });
    let mut names: Vec<Named> = wrong_services
        .map(|wanted| (wanted.owner.clone(), wanted.domain.to_ascii(), &["srv"][..]))
        .collect();
    let wrong_host = looked_for.load_balancer.is_none()
        && !looked_for.addresses.is_empty()
        && evidence
            .host
            .best()
            .flat_map(|(_, found)| found)
            .any(|found| !looked_for.addresses.contains(found));
    if wrong_host {
        let host = &looked_for.host;
        names.insert(0, (host.clone(), host.clone(), &["a", "aaaa", "cname"][..]));
    }
    names.truncate(MAX_NAMES);
    let mut owners = Vec::new();
    for (name, domain, kinds) in names {
        if let Some(owner) = owner_of(&name, &domain, kinds, &looked_for.resolvers, zones).await {
            owners.push((name, owner));
        }
    }
    owners
}

async fn owner_of(
    name: &str,
    domain: &str,
    kinds: &[&str],
    resolvers: &[SocketAddr],
    zones: &Zones,
) -> Option<RecordOwner> {
    let servers = zones.servers(domain, resolvers).await.ok()?;
    let server = servers.first()?;
    for kind in kinds {
        for registry_name in registry_names(name, kind) {
            let owner = owner_at(*server, &registry_name).await;
            if owner.is_some() {
                return owner;
            }
        }
    }
    None
}

async fn owner_at(server: SocketAddr, name: &str) -> Option<RecordOwner> {
    let reply = ask(server, name, Kind::Txt, Mode::Authoritative, QUERY_TIMEOUT).await.ok()?;
    reply.answers.iter().find_map(|entry| match &entry.data {
        Data::Txt(text) => RecordOwner::parse(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_text_of_the_registry() {
        let text = "\"heritage=external-dns,external-dns/owner=lab,external-dns/resource=crd/im/example-srv\"";
        let owner = RecordOwner::parse(text).unwrap();
        assert_eq!(
            (owner.id.as_str(), owner.resource.as_deref()),
            ("lab", Some("crd/im/example-srv"))
        );
        assert_eq!(
            owner.to_string(),
            "external-dns with owner ID \"lab\" (resource crd/im/example-srv)"
        );
        for other in
            ["v=spf1 -all", "heritage=somebody,external-dns/owner=lab", "heritage=external-dns"]
        {
            assert_eq!(RecordOwner::parse(other), None, "{other}");
        }
        let hostile = format!("heritage=external-dns,external-dns/owner=a\n{}", "b".repeat(4000));
        assert_eq!(RecordOwner::parse(&hostile).unwrap().id.len(), 128);
    }
}
