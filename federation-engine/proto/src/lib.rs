//! XMPP between servers (RFC 6120, XEP-0220, XEP-0178, XEP-0368) without I/O.
//!
//! Nothing here knows a socket, a clock, a file or a task. Bytes, certificates, answers of DNS and the present time go in;
//! bytes to be written and [`Action`](stream::Action)s to be performed come out.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod certificate;
pub mod clock;
pub mod dialback;
pub mod direction;
pub mod guard;
pub mod pair;
pub mod plan;
pub mod policy;
pub mod public;
pub mod race;
pub mod reason;
pub mod stanza;
pub mod stream;
pub mod xml;

pub use crds::domain::{Domain, DomainError};
