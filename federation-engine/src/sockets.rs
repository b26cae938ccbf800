//! TCP connections, with or without TLS, and what the peer's TCP has acknowledged.

pub(crate) mod connection;
pub(crate) mod in_flight;
pub(crate) mod socket;
pub(crate) mod turn;
