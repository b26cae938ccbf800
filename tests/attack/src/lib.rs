//! Attacks of unauthenticated servers and hostile peers on an XMPP server. Each is a small client that can run against
//! any server. The program is `attack`; [`measure`] runs them against the engine and reports the effect on a good peer.

pub mod aim;
mod amplification;
mod attributes;
mod backends;
mod chains;
mod connections;
mod dialback;
pub mod error;
mod good_peer;
pub mod kind;
pub mod measure;
mod names;
mod priority;
pub mod report;
pub mod tally;
mod white_space;
mod world;
