//! Restricted XML (RFC 6120 §11): one scanner delimits and validates the stream and collects the facts that routing
//! needs.
//!
//! [`Scanner`] accepts a subset of the XML that any conforming parser accepts, and it sees the same element boundaries,
//! so the bytes of an accepted element can be forwarded unchanged. The grammar of tags and content is checked here byte
//! by byte over new input only. quick-xml parses small negotiation elements ([`Node`]) and decodes attribute values; it
//! only sees complete elements that have been checked.

mod bounds;
pub(crate) mod chars;
mod declaration;
mod digest;
pub(crate) mod element;
mod error;
pub mod escape;
mod header;
mod names;
mod namespace;
pub(crate) mod redeclare;
mod run;
mod scanner;
mod scope;
mod skip;
mod start_tag;
mod steps;
mod tag;
mod tree;

pub use bounds::Bounds;
pub use element::{Element, Name};
pub use error::{Bound, Malformation, XmlError};
pub use header::HeaderAttributes;
pub use namespace::Namespace;
pub use scanner::{Item, Progress, Scanner};
pub use tree::Node;

#[cfg(test)]
mod tests;
