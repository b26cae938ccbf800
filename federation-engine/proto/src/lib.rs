#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod certificate;
pub mod clock;
pub mod dialback;
pub mod direction;
pub mod guard;
pub mod pair;
pub mod plan;
pub mod policy;
pub mod proxy_header;
pub mod public;
pub mod race;
pub mod reason;
pub mod stanza;
pub mod stream;
pub mod xml;

pub use crds::domain::{Domain, DomainError};
