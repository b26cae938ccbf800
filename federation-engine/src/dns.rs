//! DNS towards both sides.
//!
//! For the outer leg: `resolve` queries, `validate` validates the answers by DNSSEC from `anchors` on,
//! `s2s_proto::plan` selects the targets, and `delegation` finds the facts about a target's server that DNSSEC
//! authenticates. For the operator: `ask` sends one query to one server and returns the whole answer. For the backend:
//! `synth` is the split-horizon responder that directs every remote domain to the engine. Remote hosts never query it,
//! and neither does the engine itself.

pub mod anchors;
pub mod ask;
mod cache;
pub mod delegation;
mod exchange;
pub mod inside;
mod lookup;
pub mod resolve;
pub mod synth;
mod validate;

#[cfg(test)]
pub(crate) mod testing;
