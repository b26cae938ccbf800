//! `dnssec` and `splitHorizon` of the file.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::dnssec::DnssecMode;

/// DNSSEC validation on the outer leg.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDnssec {
    /// Whether answers are validated. Default: `Auto`.
    #[serde(default)]
    pub mode: DnssecMode,
    /// File with DNSKEY records of the root in zone file form, for a DNS that is not the public one. Default: the public
    /// root's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_anchors: Option<PathBuf>,
}

/// What the backend's DNS answers about remote domains.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SplitHorizon {
    /// Address at which the backend reaches the inner leg.
    pub address: IpAddr,
    /// Port at which the backend reaches the inner leg.
    pub port: NonZeroU16,
    /// Networks whose hosts get answers. Default: the addresses of the backends, and this machine.
    #[serde(default)]
    pub clients: Vec<IpNet>,
}
