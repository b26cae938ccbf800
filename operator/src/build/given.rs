//! Input of the builders besides the federation itself, and their errors.

use std::net::IpAddr;

use crds::federation::tls::IssuerRef;
use ipnet::IpNet;

use crate::args::PullPolicy;
use crate::federation::material::Material;
use crate::federation::serving::Offer;

/// Settings of the operator about the engine and about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the engine.
    pub engine_image: String,
    /// Its pull policy.
    pub pull_policy: PullPolicy,
    /// Namespace of the operator, whose pods may connect to the engine's control port.
    pub operator_namespace: String,
}

/// Facts about the cluster that the builders need.
#[derive(Clone, Debug)]
pub struct Given {
    /// Generated keys and certificates.
    pub material: Material,
    /// The certificate that the pods serve; `None` if no certificate can be served.
    pub serving: Option<Offer>,
    /// The issuer of the Certificate; `None` if there should be no Certificate.
    pub issuer: Option<IssuerRef>,
    /// The address that DNS should have; `None` while it is unknown.
    pub address: Option<Address>,
    /// Address of the outer Service, once the load balancer has assigned it.
    pub assigned: Option<Address>,
    /// `ClusterIP` of the Service for the backend, once it exists.
    pub backend_ip: Option<IpAddr>,
    /// Whether to write the SRV records to a `DNSEndpoint`.
    pub publish_srv: bool,
    /// Networks whose hosts may query the engine's DNS server.
    pub dns_clients: Vec<IpNet>,
}

/// The address that a load balancer assigns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// Addresses, at least one.
    Ips(Vec<IpAddr>),
    /// A host name of the provider, whose addresses may change.
    Hostname(String),
}

/// A child that cannot be built. This is always a bug of the operator, not an error in the resource.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// The configuration file.
    #[error("cannot write the engine's configuration file: {0}")]
    EngineFile(String),
    /// An object.
    #[error("cannot write {kind}: {detail}")]
    Object {
        /// Kind of the object.
        kind: String,
        /// The error of the serializer.
        detail: String,
    },
}
