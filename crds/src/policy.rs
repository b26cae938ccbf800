//! Which remote domains may exchange stanzas with the local domains. Rules are ordered; the first match wins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pattern::DomainPattern;

/// Federation policy.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Action for a domain that matches no rule. Default: `Allow`.
    #[serde(default)]
    pub default: Action,
    /// Ordered rules; the first matching rule applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<PolicyRule>,
}

/// One rule of the policy.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Exact domains, or `*.suffix`, which does not match the suffix itself.
    #[schemars(length(min = 1, max = 32))]
    pub domains: Vec<DomainPattern>,
    /// Direction of the stanza, seen from the local domains. Default: `Both`.
    #[serde(default)]
    pub direction: RuleDirection,
    /// Action of the rule.
    pub action: Action,
}

/// Action of a policy rule.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Action {
    /// Allow stanzas.
    #[default]
    Allow,
    /// Refuse stanzas with an error to the sender.
    Deny,
}

/// Direction of a stanza, seen from the local domains.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum RuleDirection {
    /// Both directions.
    #[default]
    Both,
    /// From the remote domain to a local one.
    Inbound,
    /// From a local domain to the remote one.
    Outbound,
}
