//! The lab's network map: hosts, addresses and links.
//!
//! ```text
//!   cluster side                          │            "the internet", 198.19.0.0/24
//!   node 198.18.0.1 ── 198.18.0.254 ── router ── 198.19.0.254 ──┬── dns     198.19.0.53
//!    ├ Services      198.18.64.0/20       │                     ├── partner 198.19.0.10
//!    ├ pods          198.18.128.0/18      │                     ├── client  198.19.0.20
//!    ├ LoadBalancers 198.18.200.0/24      │                     └── other   198.19.0.30
//!    └ private ones  10.18.200.0/24       │
//! ```
//! All addresses but the private ones are in 198.18.0.0/15, the range for benchmarks of network devices (RFC 2544).
//! They exist only inside network namespaces. Packets from the node to the internet have the node's address as source,
//! as behind any NAT gateway. Packets from the internet reach LoadBalancer addresses with their own source address.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::command::Run;
use crate::error::Result;
use crate::family::{CLUSTER_SIDE_V6, Family, LOAD_BALANCER_CIDR_V6, POD_CIDR_V6};

/// Addresses of Services.
pub const SERVICE_CIDR: &str = "198.18.64.0/20";
/// First address of [`SERVICE_CIDR`], which Kubernetes assigns to the API server.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(198, 18, 64, 1);
/// The cluster's DNS server.
pub const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(198, 18, 64, 10);
/// Addresses of pods.
pub const POD_CIDR: &str = "198.18.128.0/18";
/// Length of [`POD_CIDR`]: the only node has all of it.
pub const POD_CIDR_BITS: u8 = 18;
/// Addresses that MetalLB assigns to LoadBalancer Services.
pub const LOAD_BALANCER_CIDR: &str = "198.18.200.0/24";
/// Private addresses that MetalLB assigns to Services that request one. The internet does not reach them.
pub const PRIVATE_CIDR: &str = "10.18.200.0/24";
/// All addresses in the cluster or in front of it.
pub const CLUSTER_SIDE: &str = "198.18.0.0/16";
/// The router's address towards the node.
pub const ROUTER_TO_NODE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 254);

/// A host with its own network, mount, process, name and IPC namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The Kubernetes node.
    Node,
    /// The router between the node and the internet.
    Router,
    /// The public DNS server.
    Dns,
    /// The partner's XMPP server.
    Partner,
    /// The computer of a person at the partner.
    Client,
    /// Any other host on the internet.
    Other,
}

impl Host {
    /// All hosts, in the order of their creation.
    pub const ALL: [Self; 6] =
        [Self::Router, Self::Node, Self::Dns, Self::Partner, Self::Client, Self::Other];

    /// Its name, also its host name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Router => "router",
            Self::Dns => "dns",
            Self::Partner => "partner",
            Self::Client => "client",
            Self::Other => "other",
        }
    }

    /// The host with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|host| host.name() == name)
    }

    /// Its address (for the router, the address on the internet side).
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::Node => Ipv4Addr::new(198, 18, 0, 1),
            Self::Router => Ipv4Addr::new(198, 19, 0, 254),
            Self::Dns => Ipv4Addr::new(198, 19, 0, 53),
            Self::Partner => Ipv4Addr::new(198, 19, 0, 10),
            Self::Client => Ipv4Addr::new(198, 19, 0, 20),
            Self::Other => Ipv4Addr::new(198, 19, 0, 30),
        }
    }

    /// Its IPv6 address, if the lab has any: after the IPv4 address.
    pub const fn address_v6(self) -> Ipv6Addr {
        let [_, network, _, host] = self.address().octets();
        let network = if network == 19 { 0x19 } else { 0x18 };
        Ipv6Addr::new(0xfd00, network, 0, 0, 0, 0, 0, host as u16)
    }

    /// The name of its network namespace.
    pub fn namespace(self) -> String {
        format!("xfed-{}", self.name())
    }

    /// The file through which a process enters its network namespace.
    pub fn namespace_file(self) -> PathBuf {
        PathBuf::from("/run/netns").join(self.namespace())
    }

    const fn on_the_internet(self) -> bool {
        matches!(self, Self::Dns | Self::Partner | Self::Client | Self::Other)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Creates all namespaces, links, addresses and routes.
pub fn create() -> Result<()> {
    let namespaces = Host::ALL.map(|host| format!("netns add {}\n", host.namespace()));
    Run::new("ip").args(["-batch", "-"]).input(namespaces.concat()).ok()?;
    let (node, router) = (Host::Node.address(), Host::Router.address());
    in_host(
        Host::Router,
        format!(
            "link set lo up\n\
             link add node type veth peer name uplink netns {}\n\
             addr add {ROUTER_TO_NODE}/24 dev node\n\
             link set node up\n\
             link add internet type bridge\n\
             addr add {router}/24 dev internet\n\
             link set internet up\n\
             route add {LOAD_BALANCER_CIDR} via {node}\n\
             route add {PRIVATE_CIDR} via {node}\n",
            Host::Node.namespace()
        ),
    )?;
    in_host(
        Host::Node,
        format!(
            "link set lo up\n\
             addr add {node}/24 dev uplink\n\
             link set uplink up\n\
             route add default via {ROUTER_TO_NODE}\n"
        ),
    )?;
    for host in Host::ALL.into_iter().filter(|host| host.on_the_internet()) {
        in_host(
            Host::Router,
            format!(
                "link add {host} type veth peer name uplink netns {}\n\
                 link set {host} master internet\n\
                 link set {host} up\n",
                host.namespace()
            ),
        )?;
        in_host(
            host,
            format!(
                "link set lo up\n\
                 addr add {}/24 dev uplink\n\
                 link set uplink up\n\
                 route add default via {router}\n",
                host.address()
            ),
        )?;
    }
    Ok(())
}

/// Adds the IPv6 addresses and routes. `nodad`: nobody else has them, so that they are usable at once.
pub fn add_v6() -> Result<()> {
    let (node, router) = (Host::Node.address_v6(), Host::Router.address_v6());
    let router_to_node = Ipv6Addr::new(0xfd00, 0x18, 0, 0, 0, 0, 0, 0xfe);
    in_host(
        Host::Router,
        format!(
            "addr add {router_to_node}/64 dev node nodad\n\
             addr add {router}/64 dev internet nodad\n\
             route add {LOAD_BALANCER_CIDR_V6} via {node}\n"
        ),
    )?;
    in_host(
        Host::Node,
        format!(
            "addr add {node}/64 dev uplink nodad\n\
             route add default via {router_to_node}\n"
        ),
    )?;
    for host in Host::ALL.into_iter().filter(|host| host.on_the_internet()) {
        let address = host.address_v6();
        in_host(
            host,
            format!("addr add {address}/64 dev uplink nodad\nroute add default via {router}\n"),
        )?;
    }
    Ok(())
}

/// Removes everything from [`create`] that still exists; links are removed with their namespaces.
pub fn remove() -> Result<()> {
    for host in Host::ALL.into_iter().filter(|host| host.namespace_file().exists()) {
        Run::new("ip").args(["netns", "del", &host.namespace()]).ok()?;
    }
    Ok(())
}

/// The packet filter rules of the node: packets to the internet get the node's address as source.
pub fn node_rules(family: Family) -> String {
    let v4 = format!(
        "table ip internet {{\n\
           chain leave {{\n\
             type nat hook postrouting priority srcnat; policy accept;\n\
             ip saddr {POD_CIDR} ip daddr != {CLUSTER_SIDE} masquerade\n\
           }}\n\
         }}\n"
    );
    let v6 = format!(
        "table ip6 internet {{\n\
           chain leave {{\n\
             type nat hook postrouting priority srcnat; policy accept;\n\
             ip6 saddr {POD_CIDR_V6} ip6 daddr != {CLUSTER_SIDE_V6} masquerade\n\
           }}\n\
         }}\n"
    );
    if family.has_v6() { v4 + &v6 } else { v4 }
}

fn in_host(host: Host, batch: String) -> Result<()> {
    Run::new("ip").args(["-n", &host.namespace(), "-batch", "-"]).input(batch).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_found_by_its_name() {
        for host in Host::ALL {
            assert_eq!(Host::from_name(host.name()), Some(host));
        }
        assert_eq!(Host::from_name("moon"), None);
    }

    #[test]
    fn every_address_lies_in_the_benchmark_range() {
        for host in Host::ALL {
            let [first, second, ..] = host.address().octets();
            assert_eq!((first, second & 0xfe), (198, 18), "{host}");
        }
    }

    #[test]
    fn hosts_of_the_internet_are_distinguished_from_cluster_addresses_by_their_second_octet() {
        for host in Host::ALL.into_iter().filter(|host| host.on_the_internet()) {
            assert_eq!(host.address().octets()[1], 19, "{host}");
        }
    }
}
