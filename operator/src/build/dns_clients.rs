//! Networks whose hosts may query the engine's DNS server.
//!
//! The NetworkPolicy allows only the backend's pods, if the cluster enforces it. This list is for clusters that do not, and
//! must not refuse a backend. No API reports a cluster's pod networks reliably: many network plugins ignore the nodes'
//! `podCIDRs`, and a list of them changes with every node. The default is therefore every network that is not routed on the
//! internet, where pods and Services nearly always are, plus the networks that nodes and `ServiceCIDRs` report.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::evidence::networks::{ClusterNetworks, UNROUTED};
use crate::federation::validated::Validated;

/// Most cluster networks that are listed in addition to [`UNROUTED`]; the engine accepts 1024 in total.
const MAX_NETWORKS: usize = 512;

/// The networks that the resource names, else the default.
pub fn of(federation: &Validated, cluster: &ClusterNetworks) -> Vec<IpNet> {
    let spec = &federation.spec;
    if !spec.dns.clients.is_empty() {
        return spec.dns.clients.clone();
    }
    let routed = |network: &&IpNet| !UNROUTED.iter().any(|unrouted| unrouted.contains(*network));
    let known = cluster.inside.iter().chain(&spec.verification.cluster_networks).filter(routed);
    let known: Vec<IpNet> = known.map(IpNet::trunc).collect();
    let loopback = IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST));
    let mut all = UNROUTED.to_vec();
    all.push(loopback);
    all.extend(IpNet::aggregate(&known).into_iter().take(MAX_NETWORKS));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{smallest, validated};

    fn clients(spec: &serde_json::Value, inside: &[&str]) -> Vec<String> {
        let inside = inside.iter().map(|text| text.parse().unwrap()).collect();
        let cluster = ClusterNetworks { inside, gap: None };
        of(&validated(spec), &cluster).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nodes_that_come_and_go_in_private_networks_change_nothing() {
        let before = clients(&smallest(), &["10.244.0.0/24", "192.168.1.5/32"]);
        let after = clients(&smallest(), &["10.244.0.0/24", "10.244.1.0/24", "fd00:7::/64"]);
        assert_eq!(before, after);
        assert!(!before.contains(&"0.0.0.0/0".to_owned()));
    }

    #[test]
    fn public_networks_of_the_cluster_are_added_once() {
        let mut spec = smallest();
        spec["verification"] = json!({"clusterNetworks": ["203.0.113.0/24"]});
        let inside = ["2001:db8:1::/64", "2001:db8:1::7/128", "203.0.113.9/32"];
        let all = clients(&spec, &inside);
        assert_eq!(all[all.len() - 2..], ["203.0.113.0/24", "2001:db8:1::/64"]);
    }

    #[test]
    fn networks_of_the_resource_replace_the_default() {
        let mut spec = smallest();
        spec["dns"] = json!({"clients": ["10.0.0.0/24"]});
        assert_eq!(clients(&spec, &["203.0.113.9/32"]), ["10.0.0.0/24"]);
    }

    #[test]
    fn many_public_nodes_do_not_make_a_file_that_the_engine_refuses() {
        let nodes: Vec<String> =
            (0..3000).map(|n| format!("203.{}.{}.1/32", n / 250, n % 250)).collect();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let all = clients(&smallest(), &nodes);
        assert!(all.len() <= federation_engine::config::parse::MAX_CLIENT_NETWORKS);
    }
}
