//! An S2S edge. Towards the world it *is* the local domains; towards the backend it *is* every remote domain.
//!
//! ```text
//!   remote servers ──5269/5270──▶ outer leg ─┐            ┌─ inner leg ──15269── backend (S2S with minted certificates)
//!                                            ├─ route ────┤
//!   remote servers ◀──SRV, A, dial── outer ──┘            └─ inner leg ──dial──▶ backend
//! ```
//!
//! The crate `s2s-proto` decides, and knows no socket, no clock and no task; the rooms of this crate drive it (docs/architecture.md). A stanza is delimited and
//! validated once and then travels as the bytes that were validated.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod accept;
mod admission;
pub mod args;
mod bucket;
mod budget;
pub mod config;
pub mod dial;
pub mod dns;
mod engine;
mod in_force;
pub mod leg;
mod links;
pub mod log;
pub mod observe;
pub mod probe;
pub mod prober;
mod probes;
mod relay;
pub mod route;
pub mod run;
mod session;
mod sockets;
mod source;
pub mod tls;
pub mod traces;

pub use budget::PROCESS;
pub use crds::domain::{Domain, DomainError};
