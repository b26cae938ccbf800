//! DNS towards both sides.
//!
//! Outside: `resolve` asks, `plan` (pure) decides where to dial. For the operator: `ask` puts one question to one server and
//! shows everything it said. Towards the backend: `synth` is the split-horizon responder that sends every foreign domain to
//! the engine; the outside never asks it, and we never ask it ourselves.

pub mod ask;
mod cache;
mod exchange;
pub mod inside;
pub mod plan;
pub mod resolve;
pub mod synth;

#[cfg(test)]
pub(crate) mod testing;
