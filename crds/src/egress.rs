//! Which addresses the engine may dial although the dialler's guard refuses their kind.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exceptions of the dialler's address guard.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Networks that may be dialled although they are private, loopback or reserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<String>", inner(length(max = 49)))]
    pub allow_networks: Vec<IpNet>,
}
