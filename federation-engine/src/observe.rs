//! The observations of the engine, and the interfaces that expose them.

pub mod admin;
pub mod control;
pub mod evidence;
pub mod http;
pub mod journal;
pub mod label;
pub(crate) mod limiter;
pub mod metrics;
pub mod readiness;
pub(crate) mod recorder;
#[cfg(test)]
mod testing;
mod visitors;
