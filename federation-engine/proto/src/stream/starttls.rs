//! STARTTLS (RFC 6120 §5.4).

use crate::xml::{Element, Namespace};

/// The request of the initiating entity (§5.4.2.1).
pub const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
/// The consent of the receiving entity (§5.4.2.3). TLS begins right after its `>`.
pub(crate) const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
/// The refusal of the receiving entity (§5.4.2.2); the stream ends with it.
pub(crate) const FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// An element of the STARTTLS negotiation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Negotiation {
    /// `<starttls/>`.
    StartTls,
    /// `<proceed/>`.
    Proceed,
    /// `<failure/>`.
    Failure,
}

impl Negotiation {
    /// Reads an element; `None` when it does not belong to the negotiation.
    pub fn read(element: &Element) -> Option<Self> {
        let name = element.name();
        match name.local {
            _ if name.namespace != Namespace::Tls => None,
            "starttls" => Some(Self::StartTls),
            "proceed" => Some(Self::Proceed),
            "failure" => Some(Self::Failure),
            _ => None,
        }
    }
}
