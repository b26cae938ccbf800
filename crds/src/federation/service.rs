//! The Service that remote servers connect to.

use std::collections::BTreeMap;

use ipnet::IpNet;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message;

/// The outer Service, which remote servers connect to.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[x_kube(
    validation = Rule::new("(has(self.loadBalancerClass) ? self.loadBalancerClass : '') == (has(oldSelf.loadBalancerClass) ? oldSelf.loadBalancerClass : '')")
        .message(message::LOAD_BALANCER_CLASS_IMMUTABLE)
        .field_path(".loadBalancerClass"),
    validation = Rule::new("self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) && !has(self.loadBalancerSourceRanges))")
        .message(message::LOAD_BALANCER_FIELDS)
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
    /// Load balancer implementation; cannot change after the Service exists.
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
    /// Listen for Direct TLS (XEP-0368) on port 5270, and publish its SRV record.
    #[serde(default = "crate::yes")]
    pub direct_tls: bool,
    /// The load balancer prepends the PROXY protocol header.
    #[serde(default)]
    pub proxy_protocol: bool,
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
            direct_tls: true,
            proxy_protocol: false,
        }
    }
}

/// How the outer Service is exposed.
#[derive(Clone, Copy, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum ServiceType {
    /// By a load balancer.
    #[default]
    LoadBalancer,
    /// On a port of every node. You must forward ports 5269 and 5270 to it yourself.
    NodePort,
    /// Inside the cluster only.
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
