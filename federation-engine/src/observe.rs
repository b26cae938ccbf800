//! The observations of the engine, and the interfaces that expose them.

pub mod admin;
pub mod control;
pub mod evidence;
mod http;
pub mod journal;
pub mod label;
pub(crate) mod limiter;
pub mod metrics;
pub mod readiness;
#[cfg(test)]
mod testing;
mod visitors;
