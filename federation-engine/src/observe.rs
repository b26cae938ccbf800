//! What the engine saw, and how others read it.

pub mod evidence;
pub mod journal;
pub mod label;
pub mod metrics;
