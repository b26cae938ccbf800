//! DNS towards both sides.
//!
//! Outside: `resolve` asks, `validate` has the answers proven by DNSSEC from `anchors` on, `s2s_proto::plan` decides where to dial,
//! `delegation` says what is proven about a server there. For the operator: `ask` puts one question to one server and shows
//! everything it said. Towards the backend: `synth` is the split-horizon responder that sends every foreign domain to
//! the engine; the outside never asks it, and we never ask it ourselves.

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
