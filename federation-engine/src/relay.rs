//! The way of a stanza between two streams: from the stream that brought it to its link, and from the link to the stream that
//! takes it away.

mod alone;
pub(crate) mod forward;
pub(crate) mod intake;
pub(crate) mod outlet;
