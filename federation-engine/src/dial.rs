//! Dialling: `guard` (pure) says which addresses may be dialled at all, `race` (pure) what is asked for and dialled when,
//! `dialler` does it, `tcp` is one connection, `backoff` (pure) says when to try again.

pub mod backoff;
pub mod dialler;
pub mod guard;
mod race;
pub mod tcp;

pub use race::MAX_ATTEMPTS;
