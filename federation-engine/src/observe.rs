//! What the engine saw, and how others read it.

pub mod admin;
pub mod control;
pub mod evidence;
mod http;
pub mod journal;
pub mod label;
pub(crate) mod limiter;
pub mod metrics;
pub mod readiness;
pub(crate) mod recorder;
#[cfg(test)]
mod testing;
mod visitors;
