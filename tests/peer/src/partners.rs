//! Partners that nobody can install any more, or that are a service: simulated, as their vendors documented them.
//!
//! [`wire::Wire`] is how a system behaves towards other servers, and each of the modules named after one is its
//! description; [`partner::Partner`] is a domain on such a system, in both roles: [`receiving`] and [`initiating`].
//! What is simulated and what a person has to set: `docs/partners`.
//!
//! The tags `[S-nn]` in the descriptions are those of the list of sources in `docs/partners/README.md`.

pub mod cisco_imp;
pub mod expressway;
pub mod google_talk;
pub mod initiating;
pub mod partner;
pub mod receiving;
pub mod sametime;
pub mod webex_app;
pub mod webex_messenger;
pub mod wire;
