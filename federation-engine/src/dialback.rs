//! Server Dialback (XEP-0220): keys, the four steps on the wire, what waits for an answer, and who may answer.

pub mod authority;
pub mod key;
pub mod receiving;
pub mod steps;

pub use key::{Key, Secret};
pub use receiving::Verification;
