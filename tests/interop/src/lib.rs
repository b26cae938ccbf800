//! The interoperability matrix: real servers as peers of the engine alone, without a cluster.
//!
//! A [`cell`] is a pair of settings, ours and theirs. [`expect`] computes from them what must happen in each direction,
//! [`matrix`] makes it happen between the engine and a server ([`release`]) and looks. All of it runs in a network namespace
//! of its own ([`sandbox`]), so that every cell has the real ports.

pub mod cell;
pub mod certificate;
pub mod distance;
pub mod ejabberd;
pub mod error;
pub mod errors;
pub mod expect;
pub mod extended;
pub mod jabberd;
pub mod login;
pub mod matrix;
pub mod ours;
pub mod prosody;
pub mod release;
pub mod result;
pub mod sandbox;
pub mod site;
