//! See the README.

pub mod bench;
pub mod engine;
pub mod peer;
