//! See the README.

pub mod peer;
