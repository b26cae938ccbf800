//! Whether the engine validates DNS answers about remote servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DNSSEC validation by the engine.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum DnssecMode {
    /// Validate if the resolver returns signatures: forged answers are rejected, and TLSA records decide about certificates
    /// (DANE).
    #[default]
    Auto,
    /// Never validate. Write it in quotes: some YAML parsers read a bare `Off` as a boolean.
    Off,
}
