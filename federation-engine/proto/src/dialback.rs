//! Server Dialback (XEP-0220): keys, the four steps on the wire, pending requests, the authoritative server's answers,
//! and the record of them.

pub(crate) mod authority;
mod inquiries;
mod inquiry;
mod key;
pub(crate) mod receiving;
pub mod steps;

pub use inquiries::Inquiries;
pub use inquiry::KeyInquiry;
pub use key::{Key, Secret};
pub use receiving::KeyVerdict;
