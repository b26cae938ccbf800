//! Server Dialback (XEP-0220): keys, the four steps on the wire, what waits for an answer, who may answer, and what we were
//! asked.

pub(crate) mod authority;
mod inquiries;
mod inquiry;
mod key;
pub(crate) mod receiving;
pub mod steps;

pub use inquiries::Inquiries;
pub use inquiry::KeyInquiry;
pub use key::{Key, Secret};
pub use receiving::Verification;
