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
    /// Default: `Auto`.
    #[serde(default)]
    pub mode: DnssecMode,
    /// DNSKEY records of the root in the form of zone files, for a DNS that is not the public one. Default: the public root's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_anchors: Option<PathBuf>,
}

/// What the backend's DNS is told about remote domains.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SplitHorizon {
    /// Address of the inner leg as the backend reaches it.
    pub address: IpAddr,
    /// Port of the inner leg as the backend reaches it.
    pub port: NonZeroU16,
    /// Networks whose hosts get answers. Empty: the backends by their addresses, and this machine.
    #[serde(default)]
    pub clients: Vec<IpNet>,
}
