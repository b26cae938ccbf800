//! `DNSEndpoint` of external-dns: the SRV records of every domain. external-dns never derives SRV records from a Service
//! of type LoadBalancer.

use crds::external::dns_endpoint::{DNSEndpoint, DNSEndpointSpec, Endpoint};

use super::{Given, metadata};
use crate::dns::wanted;
use crate::federation::names;
use crate::federation::validated::Validated;

/// The records, unless they are not published.
pub fn build(federation: &Validated, given: &Given) -> Option<DNSEndpoint> {
    if !given.publish_srv {
        return None;
    }
    // Records that are published stay while the Service has no address.
    let target = wanted::srv_target(federation, given.address.as_ref())
        .unwrap_or_else(|| federation.host.to_ascii());
    let dot = if federation.spec.dns.trailing_dot { "." } else { "" };
    let endpoints = wanted::srv_records(federation, &target)
        .into_iter()
        .map(|record| Endpoint {
            record_type: "SRV".to_owned(),
            record_ttl: Some(i64::from(federation.spec.dns.ttl)),
            targets: record.all().map(|srv| format!("{srv}{dot}")).collect(),
            dns_name: record.owner,
            ..Endpoint::default()
        })
        .collect();
    let mut endpoint =
        DNSEndpoint::new(&names::dns_endpoint(&federation.name), DNSEndpointSpec { endpoints });
    endpoint.metadata = metadata::child(federation, names::dns_endpoint(&federation.name));
    Some(endpoint)
}
