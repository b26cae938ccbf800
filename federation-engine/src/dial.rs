//! Dialling: `dialler` runs the race of `s2s_proto::race`, `tcp` is one connection, `backoff` (pure) says when to try again.

pub mod backoff;
pub mod dialler;
pub mod tcp;
