//! The interoperability matrix: real servers as peers of the engine alone, without a cluster.
//!
//! A [`cell`] is a pair of settings, ours and theirs. [`expect`] computes from them the required outcome in each
//! direction. [`matrix`] runs the cell between the engine and a server ([`release`]) and checks the outcome. Everything
//! runs in a network namespace of its own ([`sandbox`]), so that every cell has the real ports.

pub mod cell;
pub mod certificate;
mod distance;
mod ejabberd;
pub mod error;
pub mod errors;
pub mod expect;
pub mod extended;
mod jabberd;
mod login;
pub mod matrix;
mod ours;
mod prosody;
pub mod release;
pub mod resolvers;
mod result;
pub mod sandbox;
pub mod site;
