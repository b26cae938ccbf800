//! Simulations of partner systems that can no longer be installed or that are a hosted service. They follow the
//! documentation of the vendors.
//!
//! [`wire::Wire`] is the behaviour of a system towards other servers, and each module named after a system is its
//! description. [`partner::Partner`] is a domain on such a system, in both roles: [`receiving`] and [`initiating`].
//! `docs/partners` lists the simulated behaviour and the settings that an administrator must make.
//!
//! The tags `[S-nn]` in the descriptions refer to the list of sources in `docs/partners/README.md`.

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
