//! Addresses that the engine may connect to although its address guard blocks their kind.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exceptions from the engine's address guard, which blocks connections to non-public addresses.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Networks that the engine may connect to although they are private, loopback or reserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<String>", inner(length(max = 49)))]
    pub allow_networks: Vec<IpNet>,
}
