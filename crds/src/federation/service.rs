//! The Service that remote servers connect to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message;
use crate::proxy_protocol::ProxyProtocol;

/// True for a list of IP addresses. The operator parses them; this rule rejects everything of another form.
const ARE_ADDRESSES: &str = r"self.all(a, a.matches('^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|([0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f:.]*)$'))";
/// True unless an address of the list is unspecified, loopback, link-local, multicast or reserved.
const ARE_REACHABLE: &str = r"!self.exists(a, a.lowerAscii().matches('^((0|127|22[4-9]|2[3-5][0-9])[.]|169[.]254[.]|(::1?|fe[89ab][0-9a-f]:.*|ff[0-9a-f]{2}:.*)$)'))";
/// True unless a port for Direct TLS is set although Direct TLS is off.
const NO_PORT_WITHOUT_DIRECT_TLS: &str = "self.directTls || ((!has(self.publicPorts) || !has(self.publicPorts.s2sTls)) && (!has(self.nodePorts) || !has(self.nodePorts.s2sTls)))";

/// The outer Service, which remote servers connect to.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[x_kube(
    validation = Rule::new("self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) && !has(self.loadBalancerSourceRanges))")
        .message(message::LOAD_BALANCER_FIELDS),
    validation = Rule::new("!has(self.publicPorts) || has(self.publicAddresses) || self.type != 'LoadBalancer'")
        .message(message::PUBLIC_PORTS_WITHOUT_ADDRESSES)
        .field_path(".publicPorts"),
    validation = Rule::new("!has(self.nodePorts) || self.type != 'ClusterIP'")
        .message(message::NODE_PORTS_ON_CLUSTER_IP)
        .field_path(".nodePorts"),
    validation = Rule::new(NO_PORT_WITHOUT_DIRECT_TLS).message(message::PORT_WITHOUT_DIRECT_TLS)
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// How the Service is exposed.
    #[serde(rename = "type", default)]
    pub type_: ServiceType,
    /// Annotations for the load balancer, merged with the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::rule::bounded_map")]
    pub annotations: BTreeMap<String, String>,
    /// Load balancer implementation. A change deletes the Service and creates it anew, if the annotation
    /// xmppfederation.dev/allow-service-replacement of the XmppFederation is "true".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Networks that may connect. Default: all networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<String>", inner(length(max = 49)))]
    #[x_kube(validation = Rule::new(super::rule::NETWORKS).message(message::NETWORK))]
    pub load_balancer_source_ranges: Vec<IpNet>,
    /// Which nodes accept connections. Local preserves the source address of peers and avoids a second hop.
    #[serde(default)]
    pub external_traffic_policy: ExternalTrafficPolicy,
    /// IP families of the Service. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Addresses under which servers on the internet reach the Service, if they are not its own: of a firewall with NAT, or of a
    /// TCP proxy. DNS publishes them instead of the Service's addresses. Forward the public ports of each address to the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), with = "Vec<String>", inner(length(max = 45)))]
    #[x_kube(
        validation = Rule::new(ARE_ADDRESSES).message(message::PUBLIC_ADDRESS),
        validation = Rule::new(ARE_REACHABLE).message(message::PUBLIC_ADDRESS_NOT_USABLE),
        validation = Rule::new("self.all(a, self.exists_one(b, b.lowerAscii() == a.lowerAscii()))").message(message::DUPLICATE_PUBLIC_ADDRESS)
    )]
    pub public_addresses: Vec<IpAddr>,
    /// Ports of the public addresses, if they are not 5269 and 5270. The SRV records have them.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub public_ports: PublicPorts,
    /// Ports of the nodes, if they must not change. Default: the cluster assigns them.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub node_ports: NodePorts,
    /// Listen for Direct TLS (XEP-0368) on port 5270, and publish its SRV record.
    #[serde(default = "crate::yes")]
    pub direct_tls: bool,
    /// Proxies in front of the Service that pass on the addresses of peers with the PROXY protocol, version 1 or 2.
    #[serde(
        default,
        deserialize_with = "crate::proxy_protocol::deserialize",
        skip_serializing_if = "crate::is_default"
    )]
    #[schemars(schema_with = "crate::proxy_protocol::schema")]
    pub proxy_protocol: ProxyProtocol,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            annotations: BTreeMap::new(),
            load_balancer_class: None,
            load_balancer_source_ranges: Vec::new(),
            external_traffic_policy: ExternalTrafficPolicy::default(),
            ip_family_policy: None,
            public_addresses: Vec::new(),
            public_ports: PublicPorts::default(),
            node_ports: NodePorts::default(),
            direct_tls: true,
            proxy_protocol: ProxyProtocol::default(),
        }
    }
}

/// Ports of the public addresses.
#[derive(Clone, Copy, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicPorts {
    /// Port that leads to port 5269 of the Service. Default: 5269.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub s2s: Option<NonZeroU16>,
    /// Port that leads to port 5270 of the Service, for Direct TLS. Default: 5270.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub s2s_tls: Option<NonZeroU16>,
}

/// Ports of the nodes. They must be in the cluster's range, usually 30000 to 32767.
#[derive(Clone, Copy, Debug, Default, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[x_kube(
    validation = Rule::new("!has(self.s2s) || !has(self.s2sTls) || self.s2s != self.s2sTls")
        .message(message::SAME_NODE_PORT)
)]
#[serde(rename_all = "camelCase")]
pub struct NodePorts {
    /// Node port of port 5269 of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub s2s: Option<NonZeroU16>,
    /// Node port of port 5270 of the Service, for Direct TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub s2s_tls: Option<NonZeroU16>,
}

/// How the outer Service is exposed.
#[derive(Clone, Copy, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum ServiceType {
    /// By a load balancer.
    #[default]
    LoadBalancer,
    /// On a port of every node. Forward ports 5269 and 5270 of publicAddresses to it.
    NodePort,
    /// Inside the cluster only, behind a TCP proxy of yours that accepts connections on publicAddresses.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
}

/// Whether nodes without an engine pod accept connections.
#[derive(Clone, Copy, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum ExternalTrafficPolicy {
    /// Only nodes with an engine pod accept connections; the engine sees the peer's address.
    #[default]
    Local,
    /// All nodes accept connections; the engine sees a node's address.
    Cluster,
}

/// IP families of a Service.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum IpFamilyPolicy {
    /// One family.
    SingleStack,
    /// Both families if the cluster supports them.
    PreferDualStack,
    /// Both families; fail if the cluster does not support them.
    RequireDualStack,
}
