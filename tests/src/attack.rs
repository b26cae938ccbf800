//! Attacks of strangers and of hostile peers on an XMPP server, each a small client that can be put to any server. The
//! program is `attack`; [`measure`] puts them to the engine and reports the effect on a good peer.

pub mod aim;
pub mod amplification;
pub mod attributes;
pub mod chains;
pub mod connections;
pub mod dialback;
pub mod error;
pub mod good_peer;
pub mod kind;
pub mod measure;
pub mod names;
mod priority;
pub mod report;
pub mod tally;
pub mod white_space;
pub mod world;
