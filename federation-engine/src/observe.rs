//! What the engine saw, and how others read it.

pub mod evidence;
