//! The DNS records that a federation wants. The `DNSEndpoint`, the verdicts, the status and the lines for a zone file
//! all come from here.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crds::domain::Domain;
use crds::federation::dns::SrvTarget;
use crds::federation::service::ServiceType;

use crate::build::Address;
use crate::federation::validated::Validated;

/// Data of an SRV record (RFC 2782). The target is in ASCII, lower case, without trailing dot; empty for the root.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Srv {
    /// Lower values are tried first.
    pub priority: u16,
    /// Relative weight among equal priorities.
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// Host that provides it.
    pub target: String,
}

impl fmt::Display for Srv {
    /// Zone file form without the target's trailing dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.priority, self.weight, self.port, self.target)
    }
}

/// The SRV records of one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedSrv {
    /// Local domain.
    pub domain: Domain,
    /// Owner name without trailing dot.
    pub owner: String,
    /// The record that points to this federation.
    pub srv: Srv,
    /// The records that point to the other targets of the spec.
    pub others: Vec<Srv>,
}

impl WantedSrv {
    /// All records of the name, our own first.
    pub fn all(&self) -> impl Iterator<Item = &Srv> {
        std::iter::once(&self.srv).chain(&self.others)
    }

    /// Whether another target of the spec has that name.
    pub fn is_other(&self, target: &str) -> bool {
        self.others.iter().any(|other| other.target == target)
    }
}

/// Where SRV records point to: the host, or the load balancer's own name. `None` while this is not known.
/// `address`: see [`Validated::published_at`].
pub fn srv_target(federation: &Validated, address: Option<&Address>) -> Option<String> {
    match address {
        Some(Address::Hostname(name)) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        Some(Address::Ips(_)) => Some(federation.host.to_ascii()),
        None if federation.spec.service.type_ != ServiceType::LoadBalancer => {
            Some(federation.host.to_ascii())
        }
        None => None,
    }
}

/// The SRV records of all domains.
pub fn srv_records(federation: &Validated, target: &str) -> Vec<WantedSrv> {
    let dns = &federation.spec.dns.srv;
    let services = services(federation);
    federation
        .domains()
        .flat_map(|domain| services.iter().map(move |service| (domain, service)))
        .map(|(domain, service)| WantedSrv {
            domain: domain.clone(),
            owner: format!("{}.{}", service.label, domain.to_ascii()),
            srv: Srv {
                priority: dns.priority,
                weight: dns.weight,
                port: service.port,
                target: target.to_owned(),
            },
            others: dns.other_targets.iter().filter_map(|other| service.other(other)).collect(),
        })
        .collect()
}

/// A service that SRV records announce.
struct Service {
    label: &'static str,
    /// The federation's own port.
    port: u16,
    /// The port of another target; `None` if it does not have the service.
    port_of: fn(&SrvTarget) -> Option<u16>,
}

impl Service {
    fn other(&self, target: &SrvTarget) -> Option<Srv> {
        Some(Srv {
            priority: target.priority,
            weight: target.weight,
            port: (self.port_of)(target)?,
            target: target.host.to_ascii(),
        })
    }
}

/// STARTTLS always, Direct TLS (XEP-0368) if enabled.
fn services(federation: &Validated) -> Vec<Service> {
    let mut all = vec![Service {
        label: "_xmpp-server._tcp",
        port: federation.public_port(),
        port_of: |other| Some(other.port.get()),
    }];
    all.extend(federation.public_tls_port().map(|port| Service {
        label: "_xmpps-server._tcp",
        port,
        port_of: |other| other.direct_tls_port.map(NonZeroU16::get),
    }));
    all
}

/// The addresses that the host should have; none if SRV records point to the load balancer's own name.
pub fn host_addresses(address: Option<&Address>) -> Vec<IpAddr> {
    match address {
        Some(Address::Ips(ips)) => ips.clone(),
        Some(Address::Hostname(_)) | None => Vec::new(),
    }
}
