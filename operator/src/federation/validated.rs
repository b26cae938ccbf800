//! Validates a federation. Pure and total: every resource is either rejected with a reason or becomes a [`Validated`],
//! the only input of the later steps.

use crds::domain::Domain;
use crds::federation::backend::{Attachment, Backend};
use crds::federation::tls::{CertificateSource, IssuerRef};
use crds::validate::InvalidSpec;
use crds::{XmppFederation, XmppFederationSpec};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use super::backend_ca;
use super::material::ROTATE;
use super::names;

/// A federation without conflicts, in itself or with an older one.
#[derive(Clone, Debug)]
pub struct Validated {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// The owner reference that marks a child as ours.
    pub owner: OwnerReference,
    /// Generation of the spec.
    pub generation: Option<i64>,
    /// Value of the annotation that asks for a new dialback secret.
    pub rotation: Option<String>,
    /// Value of the annotation that asks for a new backend CA.
    pub ca_rotation: Option<String>,
    /// The annotation that allows to delete a Service and create it anew is set.
    pub replace_service: bool,
    /// Creation of the resource.
    pub created: Option<Timestamp>,
    /// Name of the address records and target of the SRV records.
    pub host: Domain,
    /// The spec.
    pub spec: XmppFederationSpec,
}

impl Validated {
    /// The Secret that the spec names for the certificate of the outer leg.
    pub fn certificate_secret(&self) -> Option<&str> {
        match &self.spec.tls.certificate {
            Some(CertificateSource::Secret(reference)) => Some(&reference.name),
            Some(CertificateSource::Issuer(_)) | None => None,
        }
    }

    /// The issuer that the spec names for the certificate of the outer leg.
    pub fn issuer(&self) -> Option<&IssuerRef> {
        match &self.spec.tls.certificate {
            Some(CertificateSource::Issuer(issuer)) => Some(issuer),
            Some(CertificateSource::Secret(_)) | None => None,
        }
    }

    /// The local domains, in the order of the spec.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.spec.domains.iter().map(|domain| &domain.name)
    }

    /// The Secret with the certificate for a backend. The first server keeps the short name.
    pub fn backend_tls(&self, backend: &str) -> String {
        let first = self.servers().next().is_none_or(|first| first.name == backend);
        names::backend_tls(&self.name, (!first).then_some(backend))
    }

    /// The Secret for each server that hosts domains, and these domains.
    pub fn backend_certificates(&self) -> impl Iterator<Item = (String, Vec<Domain>)> {
        self.servers().filter_map(|backend| {
            let hosted = self.spec.domains.iter().filter(|domain| {
                self.spec.backend_of(domain).is_some_and(|host| host.name == backend.name)
            });
            let domains: Vec<Domain> = hosted.map(|domain| domain.name.clone()).collect();
            (!domains.is_empty()).then(|| (self.backend_tls(&backend.name), domains))
        })
    }

    fn servers(&self) -> impl Iterator<Item = &Backend> {
        let is_server = |backend: &&Backend| matches!(backend.attachment, Attachment::Server(_));
        self.spec.backends.iter().filter(is_server)
    }
}

/// The domains and the host that another federation of the cluster claims.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rival {
    /// `namespace/name`.
    pub reference: String,
    /// Creation of the resource.
    pub created: Option<Timestamp>,
    /// Its host.
    pub host: Domain,
    /// Its local domains.
    pub domains: Vec<Domain>,
    /// The hosts that it names as other targets of its SRV records.
    pub others: Vec<Domain>,
    /// The names among these that it has: it was accepted with them.
    pub holds: Vec<Domain>,
}

impl Rival {
    /// The claims of a federation; none if it is invalid itself.
    pub fn of(object: &XmppFederation) -> Option<Self> {
        let name = object.name_any();
        if !crds::validate::validate(&name, &object.spec).is_empty() {
            return None;
        }
        Some(Self {
            reference: format!("{}/{name}", object.namespace().unwrap_or_default()),
            created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
            host: object.spec.host()?,
            domains: object.spec.domains.iter().map(|domain| domain.name.clone()).collect(),
            others: object.spec.dns.srv.other_targets.iter().map(|o| o.host.clone()).collect(),
            holds: held(object),
        })
    }

    /// Both name the host of the other as another target of their SRV records, so they may have the same domains.
    fn shares_with(&self, other: &Self) -> bool {
        self.others.contains(&other.host) && other.others.contains(&self.host)
    }

    /// A federation that has a name keeps it; of two that have it, or have not, the older one, and at the same age the one
    /// whose reference sorts first. A resource without a timestamp has not reached the API server and counts as the youngest.
    fn precedes(&self, other: &Self, name: &Domain) -> bool {
        let rank = |rival: &Self| {
            let holds = rival.holds.contains(name);
            (!holds, rival.created.is_none(), rival.created, rival.reference.clone())
        };
        rank(self) < rank(other)
    }

    /// How the other one is called in a status: tenants do not learn the names of each other's objects.
    fn called(&self, by: &Self) -> String {
        let namespace = |reference: &str| reference.split('/').next().map(str::to_owned);
        if namespace(&self.reference) == namespace(&by.reference) {
            format!("federation {}", self.reference)
        } else {
            "a federation in another namespace".to_owned()
        }
    }
}

/// The names that a federation was accepted with. Only the operator writes the status, and a rejected federation gets no
/// list of domains.
pub fn held(object: &XmppFederation) -> Vec<Domain> {
    let Some(status) = &object.status else { return Vec::new() };
    let names =
        status.domains.iter().map(|domain| domain.name.as_str()).chain(status.host.as_deref());
    names.filter_map(|name| Domain::parse(name).ok()).collect()
}

/// Why a federation is rejected.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidFederation {
    /// The API server returned an object that is not an `XmppFederation` of this version.
    #[error(
        "the operator cannot read the resource: {0}; correct it, or check that the installed CustomResourceDefinition has the operator's version"
    )]
    Unreadable(String),
    /// The spec contradicts itself.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<InvalidSpec>),
    /// Another federation has a domain.
    #[error(
        "the domain {domain} belongs to {other}. Remove it from one of the two. To share it, each must name the other's host in spec.dns.srv.otherTargets"
    )]
    DomainConflict {
        /// The domain.
        domain: Domain,
        /// The other one.
        other: String,
    },
    /// Another federation has the host.
    #[error("the host {host} belongs to {other}; set a different spec.host")]
    HostConflict {
        /// The host.
        host: Domain,
        /// The other one.
        other: String,
    },
    /// The administrator's list does not permit a domain or the host.
    #[error(
        "namespace {namespace} may not use the name {domain}; ask the cluster's administrator to list it in the chart's value domains.namespaces, or choose another name"
    )]
    NotAllowed {
        /// The domain or the host.
        domain: Domain,
        /// The federation's namespace.
        namespace: String,
    },
}

/// Judges a federation beside its rivals.
///
/// # Errors
/// The [`InvalidFederation`].
pub fn validate(object: &XmppFederation, rivals: &[Rival]) -> Result<Validated, InvalidFederation> {
    let name = object.name_any();
    let invalid = crds::validate::validate(&name, &object.spec);
    if !invalid.is_empty() {
        return Err(InvalidFederation::Invalid(invalid));
    }
    let reference = format!("{}/{name}", object.namespace().unwrap_or_default());
    // The rivals include the federation itself, with the names that it has kept.
    let itself = rivals.iter().find(|rival| rival.reference == reference).cloned();
    let Some(claims) = itself.or_else(|| Rival::of(object)) else {
        return Err(InvalidFederation::Invalid(vec![InvalidSpec::Host]));
    };
    let Some(owner) = object.controller_owner_ref(&()) else {
        return Err(InvalidFederation::Unreadable("it has no UID".to_owned()));
    };
    for rival in rivals.iter().filter(|rival| rival.reference != claims.reference) {
        let shared = claims.shares_with(rival);
        let mut domains = claims.domains.iter().filter(|_| !shared);
        let contested = domains
            .find(|domain| rival.domains.contains(domain) && rival.precedes(&claims, domain));
        if let Some(domain) = contested {
            let other = rival.called(&claims);
            return Err(InvalidFederation::DomainConflict { domain: domain.clone(), other });
        }
        if rival.host == claims.host && rival.precedes(&claims, &claims.host) {
            let other = rival.called(&claims);
            return Err(InvalidFederation::HostConflict { host: claims.host, other });
        }
    }
    Ok(Validated {
        namespace: object.namespace().unwrap_or_default(),
        name,
        owner,
        generation: object.metadata.generation,
        rotation: object.annotations().get(ROTATE).cloned(),
        ca_rotation: object.annotations().get(backend_ca::ROTATE).cloned(),
        replace_service: object
            .annotations()
            .get(crds::ALLOW_SERVICE_REPLACEMENT)
            .is_some_and(|value| value == "true"),
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
        host: claims.host,
        spec: object.spec.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::federation;
    use serde_json::json;

    fn rival(reference: &str, created: &str, domain: &str) -> Rival {
        Rival {
            reference: reference.to_owned(),
            created: Some(created.parse().unwrap()),
            host: Domain::parse(&format!("xmpp.{domain}")).unwrap(),
            domains: vec![Domain::parse(domain).unwrap()],
            others: Vec::new(),
            holds: Vec::new(),
        }
    }

    #[test]
    fn the_smallest_resource_gets_its_defaults() {
        let object = federation(&json!({"domains": [{"name": "example.com"}]}));
        let validated = validate(&object, &[]).unwrap();
        assert_eq!(validated.host.as_str(), "xmpp.example.com");
        assert_eq!(validated.certificate_secret(), None);
    }

    #[test]
    fn the_older_federation_keeps_the_domain() {
        let object = federation(&json!({"domains": [{"name": "example.com"}]}));
        let older = rival("other/a", "2026-01-01T00:00:00Z", "example.com");
        let younger = rival("other/b", "2026-12-31T00:00:00Z", "example.com");
        let stranger = rival("other/c", "2026-01-01T00:00:00Z", "example.org");
        assert!(validate(&object, &[younger, stranger]).is_ok());
        let rejection = validate(&object, &[older]).unwrap_err();
        assert!(matches!(&rejection, InvalidFederation::DomainConflict { .. }));
        assert!(!rejection.to_string().contains("other/a"), "{rejection}");
        let near = rival("im/a", "2026-01-01T00:00:00Z", "example.com");
        assert!(validate(&object, &[near]).unwrap_err().to_string().contains("im/a"));
    }

    #[test]
    fn a_federation_that_has_a_name_keeps_it_also_from_an_older_one() {
        let mut object = federation(&json!({"domains": [{"name": "example.com"}]}));
        let mut older = rival("other/a", "2026-01-01T00:00:00Z", "example.com");
        let status = json!({
            "host": "xmpp.example.com", "domains": [{"name": "example.com", "conditions": []}]
        });
        object.status = Some(serde_json::from_value(status).unwrap());
        assert!(validate(&object, std::slice::from_ref(&older)).is_ok());
        older.holds = vec![Domain::parse("example.com").unwrap()];
        assert!(validate(&object, &[older]).is_err(), "both have it, so the age decides");
    }

    #[test]
    fn the_older_federation_keeps_the_host() {
        let object =
            federation(&json!({"domains": [{"name": "example.com"}], "host": "xmpp.example.org"}));
        let older = rival("other/a", "2026-01-01T00:00:00Z", "example.org");
        assert!(matches!(validate(&object, &[older]), Err(InvalidFederation::HostConflict { .. })));
    }

    #[test]
    fn two_federations_share_a_domain_only_if_each_names_the_host_of_the_other() {
        let sharing = json!({
            "domains": [{"name": "example.com"}], "host": "a.example.com",
            "dns": {"srv": {"otherTargets": [{"host": "XMPP.example.com."}]}}
        });
        let mut older = rival("other/b", "2026-01-01T00:00:00Z", "example.com");
        let conflict =
            |older: &Rival| validate(&federation(&sharing), std::slice::from_ref(older)).err();
        assert!(matches!(conflict(&older), Some(InvalidFederation::DomainConflict { .. })));
        older.others = vec![Domain::parse("a.example.com").unwrap()];
        assert_eq!(conflict(&older), None);
        let alone =
            federation(&json!({"domains": [{"name": "example.com"}], "host": "a.example.com"}));
        assert!(validate(&alone, std::slice::from_ref(&older)).is_err());
        older.host = Domain::parse("a.example.com").unwrap();
        assert!(matches!(conflict(&older), Some(InvalidFederation::DomainConflict { .. })));
    }

    #[test]
    fn a_federation_is_not_its_own_rival() {
        let object = federation(&json!({"domains": [{"name": "example.com"}]}));
        let itself = Rival::of(&object).unwrap();
        assert!(validate(&object, &[itself]).is_ok());
    }
}
