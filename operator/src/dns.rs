//! The public DNS records of a federation: which ones it wants, whether the operator publishes them, how they compare with
//! those found, and the lines that an administrator can add to the zone file. Pure.

pub mod compare;
pub mod publish;
pub mod wanted;
pub mod zone;
