//! Keeps the evidence of backends and peers fresh where traffic does not show their state.

pub(crate) mod claims;
pub(crate) mod flows;
pub(crate) mod peers;
pub(crate) mod round_trip;
mod software;
