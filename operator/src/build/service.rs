//! Service that remote servers connect to.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use crds::federation::dns::DnsMode;
use crds::federation::service::{ExternalTrafficPolicy, IpFamilyPolicy, ServiceType};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Address, Given, metadata, ports};
use crate::federation::names;
use crate::federation::validated::Validated;

/// Annotation prefixes of external-dns: the first is read up to v0.21, the second from v0.22 on. Each version reads
/// exactly one.
const EXTERNAL_DNS_PREFIXES: [&str; 2] =
    ["external-dns.alpha.kubernetes.io", "external-dns.kubernetes.io"];

/// The outer Service.
pub fn build(federation: &Validated, given: &Given) -> Service {
    let wanted = &federation.spec.service;
    let mut metadata = metadata::child(federation, names::own(&federation.name));
    metadata.annotations = Some(annotations(federation, given)).filter(|all| !all.is_empty());
    let load_balancer = wanted.type_ == ServiceType::LoadBalancer;
    let local = load_balancer || wanted.type_ == ServiceType::NodePort;
    let mut service_ports = vec![port("s2s", ports::S2S, wanted.node_ports.s2s)];
    if wanted.direct_tls {
        service_ports.push(port("s2s-tls", ports::S2S_TLS, wanted.node_ports.s2s_tls));
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(
                match wanted.type_ {
                    ServiceType::LoadBalancer => "LoadBalancer",
                    ServiceType::NodePort => "NodePort",
                    ServiceType::ClusterIp => "ClusterIP",
                }
                .to_owned(),
            ),
            selector: Some(metadata::selector_labels(&federation.name)),
            ports: Some(service_ports),
            load_balancer_class: wanted.load_balancer_class.clone().filter(|_| load_balancer),
            load_balancer_source_ranges: Some(
                wanted
                    .load_balancer_source_ranges
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            )
            .filter(|ranges| load_balancer && !ranges.is_empty()),
            external_traffic_policy: local.then(|| {
                match wanted.external_traffic_policy {
                    ExternalTrafficPolicy::Local => "Local",
                    ExternalTrafficPolicy::Cluster => "Cluster",
                }
                .to_owned()
            }),
            ip_family_policy: wanted.ip_family_policy.map(|policy| {
                match policy {
                    IpFamilyPolicy::SingleStack => "SingleStack",
                    IpFamilyPolicy::PreferDualStack => "PreferDualStack",
                    IpFamilyPolicy::RequireDualStack => "RequireDualStack",
                }
                .to_owned()
            }),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Annotations for external-dns, and those of the user; the user's take precedence.
fn annotations(federation: &Validated, given: &Given) -> BTreeMap<String, String> {
    let dns = &federation.spec.dns;
    let mut all = BTreeMap::new();
    // If the load balancer has a host name instead of addresses, the SRV records point to that name: our own record would
    // be an alias, which RFC 2782 forbids as a target.
    if dns.mode == DnsMode::ExternalDNS
        && let Some(Address::Ips(ips)) = &given.address
    {
        // Without this annotation, external-dns publishes every address that the load balancer assigned.
        let target = (given.address != given.assigned)
            .then(|| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        for prefix in EXTERNAL_DNS_PREFIXES {
            all.insert(format!("{prefix}/hostname"), federation.host.to_ascii());
            all.insert(format!("{prefix}/ttl"), dns.ttl.to_string());
            all.extend(target.clone().map(|target| (format!("{prefix}/target"), target)));
        }
    }
    all.extend(federation.spec.service.annotations.clone());
    all
}

fn port(name: &str, number: u16, node: Option<NonZeroU16>) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        target_port: Some(IntOrString::Int(i32::from(number))),
        protocol: Some("TCP".to_owned()),
        node_port: node.map(|node| i32::from(node.get())),
        app_protocol: Some("xmpp-server".to_owned()),
    }
}
