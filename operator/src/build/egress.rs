//! Egress rules of the NetworkPolicy. They mirror the engine's own guard of addresses ([`s2s_proto::guard`]), so that the
//! network refuses what the guard refuses, and nothing that the engine may do.
//!
//! Network plugins judge a packet after the cluster has translated the address of a Service. The rules therefore name the
//! addresses and ports of pods, and of backends in the cluster the namespace, because a Service may have other ports than its
//! pods.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use crds::federation::backend::Attachment;
use crds::target::{RouteHost, RouteTarget};
use ipnet::{IpNet, Ipv6Net};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use s2s_proto::guard::refused_networks;

use super::network_policy::{NAMESPACE_NAME, namespaces, network, peer, port};
use crate::federation::validated::Validated;

/// Ports of DNS servers: 53, and 5353 of the pods behind `OpenShift`'s DNS Service.
const DNS: [u16; 2] = [53, 5353];
/// The well-known prefix of NAT64 (RFC 6052 §2.1). Its addresses represent IPv4 addresses.
const NAT64: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::from_segments([0x64, 0xff9b, 0, 0, 0, 0, 0, 0]), 96);

/// The rules: name servers, the internet, backends, and peers with a route.
pub fn rules(federation: &Validated) -> Vec<NetworkPolicyEgressRule> {
    let mut rules = vec![dns(federation), internet()];
    rules.extend(allowed(federation));
    let reached = reached(federation);
    let ports: BTreeSet<u16> = reached.iter().map(|(_, port)| *port).collect();
    if !ports.is_empty() {
        rules.push(NetworkPolicyEgressRule {
            // No `to`: everywhere.
            to: None,
            ports: Some(ports.into_iter().map(|number| port("TCP", number)).collect()),
        });
    }
    let own = &federation.namespace;
    let named: BTreeSet<String> =
        reached.iter().filter_map(|(host, _)| namespace(host, own)).collect();
    let mut pods: Vec<NetworkPolicyPeer> = named.into_iter().map(in_namespace).collect();
    pods.extend(federation.spec.network_policy.backend_selector.as_ref().map(peer));
    if !pods.is_empty() {
        rules.push(NetworkPolicyEgressRule { to: Some(pods), ports: Some(vec![any_tcp()]) });
    }
    rules
}

fn dns(federation: &Validated) -> NetworkPolicyEgressRule {
    let mut numbers: BTreeSet<u16> = DNS.into();
    numbers.extend(federation.spec.dns.resolvers.iter().map(|resolver| resolver.0.port()));
    let both = |number| [port("UDP", number), port("TCP", number)];
    NetworkPolicyEgressRule { to: None, ports: Some(numbers.into_iter().flat_map(both).collect()) }
}

/// Servers of peers may have any port.
fn internet() -> NetworkPolicyEgressRule {
    let refused = IpNet::aggregate(&refused_networks().collect());
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
        refused.into_iter().partition(|network| matches!(network, IpNet::V4(_)));
    let translated = v4.iter().filter_map(nat64).map(|network| network.to_string()).collect();
    let text = |networks: Vec<IpNet>| networks.iter().map(ToString::to_string).collect();
    let to = vec![
        all_but("0.0.0.0/0", text(v4)),
        all_but("::/0", text(v6)),
        all_but(&NAT64.to_string(), translated),
    ];
    NetworkPolicyEgressRule { to: Some(to), ports: Some(vec![any_tcp()]) }
}

/// The exceptions of the spec. They have a rule of their own, because some network plugins make one set of addresses of a
/// rule, in which an exception could not be distinguished from the network that it is an exception of.
fn allowed(federation: &Validated) -> Option<NetworkPolicyEgressRule> {
    let allowed = &federation.spec.egress.allow_networks;
    let translated = allowed.iter().filter_map(nat64).map(IpNet::V6);
    let all: Vec<IpNet> = allowed.iter().copied().chain(translated).collect();
    (!all.is_empty()).then(|| NetworkPolicyEgressRule {
        to: Some(all.iter().map(network).collect()),
        ports: Some(vec![any_tcp()]),
    })
}

fn all_but(cidr: &str, except: Vec<String>) -> NetworkPolicyPeer {
    let block = IPBlock { cidr: cidr.to_owned(), except: Some(except) };
    NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }
}

/// The addresses that represent those of an IPv4 network behind NAT64.
fn nat64(network: &IpNet) -> Option<Ipv6Net> {
    let IpNet::V4(network) = network else { return None };
    let bits = NAT64.network().to_bits() | u128::from(network.network().to_bits());
    Ipv6Net::new(Ipv6Addr::from_bits(bits), NAT64.prefix_len() + network.prefix_len()).ok()
}

/// What the engine connects to by name or address of the spec, without its guard: backends, the collector of traces, and routes
/// of peers.
fn reached(federation: &Validated) -> Vec<(RouteHost, u16)> {
    let spec = &federation.spec;
    let backends = spec.backends.iter().filter_map(|backend| match &backend.attachment {
        Attachment::Server(server) => Some((server.host.clone(), server.port)),
        Attachment::Component(_) => None,
    });
    let settings = std::iter::once(&spec.peer_defaults);
    let settings = settings.chain(spec.peers.iter().map(|peer| &peer.settings));
    let targets = settings.filter_map(|peer| peer.route.as_ref()).flat_map(|route| &route.targets);
    let collector = spec.observability.traces.iter().map(|traces| {
        let RouteTarget { host, port } = &traces.collector;
        (host.clone(), port.get())
    });
    let backends = backends.chain(collector);
    backends.chain(targets.map(|target| (target.host.clone(), target.port.get()))).collect()
}

/// The namespace of a Service that is named as the cluster's DNS does: `name`, `name.namespace`, `name.namespace.svc` or
/// `name.namespace.svc.cluster.local`. A name of the internet with two labels names a namespace that hardly exists.
fn namespace(host: &RouteHost, own: &str) -> Option<String> {
    let RouteHost::Name(name) = host else { return None };
    let labels: Vec<&str> = name.as_str().split('.').collect();
    match labels.as_slice() {
        [_] => Some(own.to_owned()),
        [_, namespace] | [_, namespace, "svc", ..] => Some((*namespace).to_owned()),
        _ => None,
    }
}

fn in_namespace(name: String) -> NetworkPolicyPeer {
    namespaces(LabelSelector {
        match_labels: Some([(NAMESPACE_NAME.to_owned(), name)].into()),
        match_expressions: None,
    })
}

/// Every TCP port.
fn any_tcp() -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some("TCP".to_owned()), port: None, end_port: None }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{smallest, validated};

    fn networks(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    /// True if a rule with address blocks and every TCP port allows the address.
    fn internet_allows(spec: &Value, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let peers = rules(&validated(spec)).into_iter().filter_map(|rule| rule.to).flatten();
        peers.filter_map(|peer| peer.ip_block).any(|block| {
            let except = block.except.unwrap_or_default();
            networks(&block.cidr).contains(&address)
                && !except.iter().any(|network| networks(network).contains(&address))
        })
    }

    #[test]
    fn the_internet_is_what_the_guard_does_not_refuse() {
        let mut spec = smallest();
        for (address, allowed) in [
            ("1.1.1.1", true),
            ("172.32.0.1", true),
            ("2a00::1", true),
            ("64:ff9b::101:101", true),
            ("10.96.0.1", false),
            ("169.254.169.254", false),
            ("168.63.129.16", false),
            ("198.18.0.1", false),
            ("fd00:ec2::254", false),
            ("2001:db8::1", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("::1", false),
        ] {
            assert_eq!(internet_allows(&spec, address), allowed, "{address}");
        }
        spec["egress"] = json!({"allowNetworks": ["10.1.0.0/16", "fd12::/16"]});
        for (address, allowed) in [
            ("10.1.2.3", true),
            ("64:ff9b::a01:203", true),
            ("fd12::1", true),
            ("10.2.0.1", false),
            ("64:ff9b::a02:1", false),
        ] {
            assert_eq!(internet_allows(&spec, address), allowed, "{address}");
        }
    }

    #[test]
    fn exceptions_are_inside_their_block_and_smaller() {
        for peer in internet().to.unwrap() {
            let block = peer.ip_block.unwrap();
            let whole = networks(&block.cidr);
            for except in block.except.unwrap() {
                let except = networks(&except);
                assert!(whole.contains(&except) && whole != except, "{except} of {whole}");
            }
        }
    }

    fn numbers(rule: &NetworkPolicyEgressRule) -> Vec<Value> {
        let ports = rule.ports.iter().flatten();
        ports.map(|port| serde_json::to_value(&port.port).unwrap()).collect()
    }

    #[test]
    fn resolvers_backends_and_routes_are_reached_wherever_they_are() {
        let mut spec = smallest();
        spec["dns"] = json!({"resolvers": ["198.51.100.53:5300", "198.51.100.54"]});
        spec["backends"] = json!([
            {"name": "a", "server": {"host": "prosody.im.svc", "port": 5299}},
            {"name": "b", "server": {"host": "chat"}},
            {"name": "c", "server": {"host": "10.3.0.1"}},
        ]);
        spec["observability"] = json!({"traces": {"collector": "otel.monitoring.svc:4318"}});
        spec["peers"] = json!([
            {"domain": "a.example", "route": {"targets": ["gateway.dmz.svc.cluster.local:7269"]}},
            {"domain": "b.example", "route": {"targets": ["xmpp.b.example:5222"]}},
        ]);
        let rules = rules(&validated(&spec));
        let [dns, _internet, ports, pods] = rules.as_slice() else { panic!("{rules:#?}") };
        assert_eq!((&dns.to, &ports.to), (&None, &None));
        assert_eq!(numbers(dns), [53, 53, 5300, 5300, 5353, 5353].map(Value::from));
        assert_eq!(numbers(ports), [4318, 5222, 5269, 5299, 7269].map(Value::from));
        // A Service may have other ports than its pods, and policies see those of the pods.
        assert_eq!(numbers(pods), [Value::Null]);
        let selectors = pods.to.iter().flatten().filter_map(|to| to.namespace_selector.as_ref());
        let names: Vec<&String> = selectors
            .flat_map(|selector| selector.match_labels.iter().flatten())
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["dmz", "im", "monitoring"]);
    }

    #[test]
    fn without_backends_and_routes_only_dns_and_the_internet_are_left() {
        let rules = rules(&validated(&json!({"domains": [{"name": "example.com"}]})));
        assert_eq!(rules.len(), 2, "{rules:#?}");
    }
}
