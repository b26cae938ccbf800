//! Dialling: `dialler` runs the race of `s2s_proto::race`, `tcp` opens one connection, and `backoff` (pure) computes
//! when to retry.

pub mod backoff;
pub mod dialler;
pub mod tcp;
