//! Limits on the resources that a source or a peer may hold at once, and the order in which sources are served.

pub(crate) mod authenticated;
pub(crate) mod holders;
pub(crate) mod judging;
pub(crate) mod line;
pub(crate) mod lookup_rate;
pub(crate) mod newcomers;
mod places;
pub(crate) mod reserve;
pub(crate) mod stanza_rate;
