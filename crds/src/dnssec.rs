//! Whether DNS answers about remote servers are validated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DNSSEC validation by the engine.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum DnssecMode {
    /// Where the resolver passes signatures on: forged answers are refused, and TLSA records decide about certificates (DANE).
    #[default]
    Auto,
    /// Never. Write it in quotes: a bare `Off` is a boolean to some YAML readers.
    Off,
}
