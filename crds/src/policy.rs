//! Which remote domains may exchange stanzas with the local ones. Rules are ordered; the first match wins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pattern::DomainPattern;

/// Federation policy.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// What happens to a domain that no rule matches. Default: `Allow`.
    #[serde(default)]
    pub default: Action,
    /// Ordered rules; the first that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<PolicyRule>,
}

/// One rule of the policy.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Exact domains, or `*.suffix`, which never covers the suffix itself.
    #[schemars(length(min = 1, max = 32))]
    pub domains: Vec<DomainPattern>,
    /// Direction of the stanza, seen from the local domains. Default: `Both`.
    #[serde(default)]
    pub direction: Direction,
    /// What happens.
    pub action: Action,
}

/// Verdict of a rule.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Action {
    /// Stanzas pass.
    #[default]
    Allow,
    /// Stanzas are refused with an error to the sender.
    Deny,
}

/// Direction of a stanza, seen from the local domains.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Direction {
    /// Either way.
    #[default]
    Both,
    /// From the remote domain to a local one.
    Inbound,
    /// From a local domain to the remote one.
    Outbound,
}
