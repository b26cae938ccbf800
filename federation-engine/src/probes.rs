//! Keeps the evidence of backends and peers fresh where traffic does not show their state.

pub(crate) mod peers;
pub(crate) mod round_trip;
