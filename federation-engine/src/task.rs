//! Sockets, time and tasks: thin drivers of the machines in `stream`.

pub(crate) mod admission;
pub mod engine;
pub(crate) mod expiry;
pub(crate) mod forward;
pub(crate) mod holders;
pub(crate) mod intake;
pub(crate) mod io;
pub(crate) mod judging;
pub(crate) mod line;
pub(crate) mod listen;
pub(crate) mod lookup_rate;
pub(crate) mod machine;
pub(crate) mod negotiate;
pub(crate) mod outlet;
pub(crate) mod overload;
pub(crate) mod peers;
pub(crate) mod receive;
pub(crate) mod report;
pub(crate) mod round_trip;
pub(crate) mod send;
pub(crate) mod session;
pub(crate) mod snapshot;
pub(crate) mod stanza_rate;
pub(crate) mod streams;
pub(crate) mod target;
pub(crate) mod verify;
