//! Dialling: `guard` (pure) says which addresses may be dialled at all, `race` tries several at once, `connect` walks through
//! the targets of a domain, `backoff` (pure) says when to try again.

pub mod backoff;
pub mod connect;
pub mod guard;
pub mod race;
