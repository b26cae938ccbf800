//! A flow, and all of them.

use crate::error::Result;
use crate::side::Side;
use crate::{
    contacts, files, messages, presence, profiles, pubsub, room_crowd, room_rights, rooms,
};

/// The outcome of a flow that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every stanza arrived as it must.
    Passed,
    /// A server cannot do it, by its own service discovery.
    Unsupported {
        /// The feature that is missing.
        feature: &'static str,
        /// Which side lacks it and what it answered.
        said: String,
    },
}

/// One flow. The first side acts: its user adds, sends, joins; the second side responds.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Its row in the table.
    pub name: &'static str,
    /// Its stanzas. It uses accounts that no other flow uses, and different names on both sides, because it runs again with
    /// the sides exchanged.
    pub run: fn(&mut Side, &mut Side) -> Result<Outcome>,
}

/// All flows, by family.
pub const ALL: &[&[Flow]] = &[
    contacts::FLOWS,
    presence::FLOWS,
    messages::FLOWS,
    profiles::FLOWS,
    rooms::FLOWS,
    room_rights::FLOWS,
    room_crowd::FLOWS,
    pubsub::FLOWS,
    files::FLOWS,
];
