//! Sockets, time and tasks: thin drivers of the machines in `stream`.

pub(crate) mod admission;
pub(crate) mod carry;
pub mod engine;
pub(crate) mod expiry;
pub(crate) mod forward;
pub(crate) mod io;
pub(crate) mod listen;
pub(crate) mod negotiate;
pub(crate) mod peers;
pub(crate) mod receive;
pub(crate) mod report;
pub(crate) mod round_trip;
pub(crate) mod send;
pub(crate) mod snapshot;
pub(crate) mod target;
pub(crate) mod verify;
