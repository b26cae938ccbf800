//! NetworkPolicy for the engine: everyone may connect to the outer leg, the backend to the inner leg, the operator to the
//! control port. The engine may connect to what [`egress`] lists.

use crds::federation::network_policy::PodPeer;
use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Settings, components, egress, metadata, ports};
use crate::federation::names;
use crate::federation::validated::Validated;

/// Label of every namespace with its name.
pub(super) const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policy, unless the resource disables it.
pub fn build(federation: &Validated, settings: &Settings) -> Option<NetworkPolicy> {
    let wanted = &federation.spec.network_policy;
    if !wanted.enabled {
        return None;
    }
    let mut ingress = vec![NetworkPolicyIngressRule {
        // No `from`: everyone.
        from: None,
        ports: Some(tcp(&[ports::S2S, ports::S2S_TLS])),
    }];
    if !federation.spec.backends.is_empty() {
        // An empty pod selector without a namespace selector: every pod of the own namespace.
        let backend = wanted.backend_selector.as_ref().map_or_else(
            || NetworkPolicyPeer {
                pod_selector: Some(LabelSelector::default()),
                ..NetworkPolicyPeer::default()
            },
            peer,
        );
        let mut inner = tcp(&[ports::BACKEND, ports::DNS]);
        inner.push(port("UDP", ports::DNS));
        if components::any(&federation.spec) {
            inner.extend(tcp(&[ports::COMPONENT]));
        }
        ingress.push(NetworkPolicyIngressRule { from: Some(vec![backend]), ports: Some(inner) });
        let clients = &federation.spec.dns.clients;
        if !clients.is_empty() {
            // If the resource names networks, they must be allowed too, for example for a node's or the cluster's resolver.
            let mut dns = tcp(&[ports::DNS]);
            dns.push(port("UDP", ports::DNS));
            let from = clients.iter().map(network).collect();
            ingress.push(NetworkPolicyIngressRule { from: Some(from), ports: Some(dns) });
        }
    }
    ingress.push(NetworkPolicyIngressRule {
        from: Some(if wanted.metrics_from.is_empty() {
            vec![namespaces(LabelSelector::default())]
        } else {
            wanted.metrics_from.iter().map(peer).collect()
        }),
        ports: Some(tcp(&[ports::ADMIN])),
    });
    let operator = LabelSelector {
        match_labels: Some(
            [(NAMESPACE_NAME.to_owned(), settings.operator_namespace.clone())].into(),
        ),
        match_expressions: None,
    };
    ingress.push(NetworkPolicyIngressRule {
        from: Some(vec![namespaces(operator)]),
        ports: Some(tcp(&[ports::CONTROL])),
    });
    Some(NetworkPolicy {
        metadata: metadata::child(federation, names::own(&federation.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(metadata::selector(&federation.name)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress::rules(federation)),
        }),
    })
}

fn tcp(numbers: &[u16]) -> Vec<NetworkPolicyPort> {
    numbers.iter().map(|number| port("TCP", *number)).collect()
}

pub(super) fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        end_port: None,
    }
}

pub(super) fn namespaces(selector: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() }
}

pub(super) fn network(network: &IpNet) -> NetworkPolicyPeer {
    let block = IPBlock { cidr: network.trunc().to_string(), except: None };
    NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }
}

pub(super) fn peer(pods: &PodPeer) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: pods.pod_selector.clone(),
        namespace_selector: pods.namespace_selector.clone(),
        ip_block: None,
    }
}
