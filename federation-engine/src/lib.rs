//! An S2S edge. Towards the world it *is* the local domains; towards the backend it *is* every remote domain.
//!
//! ```text
//!   remote servers ──5269/5270──▶ outer leg ─┐            ┌─ inner leg ──15269── backend (S2S with minted certificates)
//!                                            ├─ route ────┤
//!   remote servers ◀──SRV, A, dial── outer ──┘            └─ inner leg ──dial──▶ backend
//! ```
//!
//! The crate `s2s-proto` decides, and knows no socket, no clock and no task; `task` drives it. A stanza is delimited and
//! validated once and then travels as the bytes that were validated.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod accept;
pub mod args;
mod budget;
pub mod config;
pub mod dial;
pub mod dns;
pub mod leg;
pub mod log;
pub mod observe;
pub mod probe;
pub mod route;
pub mod run;
mod source;
pub mod task;
pub mod tls;

pub use crds::domain::{Domain, DomainError};
