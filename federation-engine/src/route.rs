//! From a stanza to its receiver: one link for each pair of domains.

pub(crate) mod components;
pub(crate) mod link;
pub(crate) mod outage;
pub(crate) mod pinned;
pub(crate) mod poison;
pub mod queue;
pub(crate) mod retry;
pub(crate) mod streams;
pub(crate) mod table;
