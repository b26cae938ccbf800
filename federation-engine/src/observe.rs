//! What the engine saw, and how others read it.

pub mod admin;
pub mod control;
pub mod evidence;
pub mod http;
pub mod journal;
pub mod label;
pub(crate) mod limiter;
pub mod metrics;
pub mod readiness;
#[cfg(test)]
mod testing;
mod visitors;
