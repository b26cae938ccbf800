//! IP families of the lab, and its IPv6 addresses.
//!
//! The addresses are unique local ones (RFC 4193), made after the IPv4 addresses of the map in [`crate::network`]. Nodes and
//! hosts of the internet have both families in each but the first.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use clap::ValueEnum;

use crate::error::Result;
use crate::network::{API_SERVICE, CLUSTER_DNS, Host, LOAD_BALANCER_CIDR, POD_CIDR, SERVICE_CIDR};
use crate::paths::{Paths, write};

/// The address that Kubernetes assigns to the API server.
pub const API_SERVICE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x18, 0x64, 0, 0, 0, 0, 1);
/// The cluster's DNS server.
const CLUSTER_DNS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x18, 0x64, 0, 0, 0, 0, 0xa);
const SERVICE_CIDR_V6: &str = "fd00:18:64::/112";
/// Addresses of pods.
pub const POD_CIDR_V6: &str = "fd00:18:128::/64";
/// Addresses that MetalLB assigns.
pub const LOAD_BALANCER_CIDR_V6: &str = "fd00:18:200::/120";
/// All addresses in the cluster or in front of it.
pub const CLUSTER_SIDE_V6: &str = "fd00:18::/32";

/// The families of pods and Services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// IPv4 alone.
    #[default]
    Ipv4,
    /// Both.
    Dual,
    /// IPv6 alone, as on EKS: the node has both, its pods and Services have not.
    Ipv6,
}

impl Family {
    /// Families of the lab that runs or is being started.
    pub fn of(paths: &Paths) -> Self {
        let text = fs::read_to_string(file(paths)).unwrap_or_default();
        Self::from_str(text.trim(), true).unwrap_or_default()
    }

    /// Records the families for the programs that are started later.
    pub fn record(self, paths: &Paths) -> Result<()> {
        let value = self.to_possible_value();
        write(&file(paths), value.as_ref().map_or("", |value| value.get_name()))
    }

    /// There are IPv6 addresses.
    pub fn has_v6(self) -> bool {
        self != Self::Ipv4
    }

    /// What pods and Services have of each family.
    pub fn each<T>(self, v4: T, v6: T) -> Vec<T> {
        match self {
            Self::Ipv4 => vec![v4],
            Self::Dual => vec![v4, v6],
            Self::Ipv6 => vec![v6],
        }
    }

    /// Networks of Services, separated by commas.
    pub fn service_cidrs(self) -> String {
        self.each(SERVICE_CIDR, SERVICE_CIDR_V6).join(",")
    }

    /// Networks of pods, separated by commas.
    pub fn pod_cidrs(self) -> String {
        self.each(POD_CIDR, POD_CIDR_V6).join(",")
    }

    /// Networks of load balancers.
    pub fn load_balancer_cidrs(self) -> Vec<&'static str> {
        self.each(LOAD_BALANCER_CIDR, LOAD_BALANCER_CIDR_V6)
    }

    /// The address of a host that pods can reach; of both, the IPv4 address.
    pub fn address(self, host: Host) -> IpAddr {
        match self {
            Self::Ipv4 | Self::Dual => host.address().into(),
            Self::Ipv6 => host.address_v6().into(),
        }
    }

    /// The cluster's DNS server.
    pub fn cluster_dns(self) -> IpAddr {
        match self {
            Self::Ipv4 | Self::Dual => CLUSTER_DNS.into(),
            Self::Ipv6 => CLUSTER_DNS_V6.into(),
        }
    }

    /// The Service of the API server.
    pub fn api_service(self) -> IpAddr {
        match self {
            Self::Ipv4 | Self::Dual => API_SERVICE.into(),
            Self::Ipv6 => API_SERVICE_V6.into(),
        }
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.state.join("family")
}
