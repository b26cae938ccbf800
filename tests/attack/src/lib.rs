//! Attacks of strangers and of hostile peers on an XMPP server, each a small client that can be put to any server. The
//! program is `attack`; [`measure`] puts them to the engine and reports the effect on a good peer.

pub mod aim;
mod amplification;
mod attributes;
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
