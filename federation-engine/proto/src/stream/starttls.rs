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

/// Bytes came in the clear after the last one that may (§5.4.3.3 items 1 and 2): somebody injects plain text into what is
/// to be protected. The connection is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{count} bytes came in the clear where only TLS may follow")]
pub struct Pipelined {
    /// How many.
    pub count: usize,
}

/// What the receiving entity has read after `<starttls/>` before it sent `<proceed/>`, and the initiating entity after
/// `<proceed/>`, must be nothing, not even white space.
///
/// The receiving entity calls this before it flushes `<proceed/>`: an honest peer waits for that, and bytes of its
/// `ClientHello` cannot be there yet.
///
/// # Errors
/// When there is something.
pub fn nothing_pipelined(unread: &[u8]) -> Result<(), Pipelined> {
    if unread.is_empty() { Ok(()) } else { Err(Pipelined { count: unread.len() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6120_5_4_3_3_not_even_a_space_may_precede_tls() {
        assert_eq!(nothing_pipelined(b""), Ok(()));
        assert_eq!(nothing_pipelined(b" "), Err(Pipelined { count: 1 }));
        assert_eq!(nothing_pipelined(b"<auth/>"), Err(Pipelined { count: 7 }));
    }
}
