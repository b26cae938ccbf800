//! Stream features (RFC 6120 §4.3.2), as far as the engine offers and uses them.

use crate::xml::{Namespace, Node};

use super::Out;

/// STARTTLS in a features element (RFC 6120 §5.3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartTls {
    /// The initiating entity may go on without.
    Optional,
    /// It may not.
    Required,
}

/// Dialback in a features element (XEP-0220 §2.4.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DialbackFeature {
    /// Errors in dialback leave the stream open, so that one stream may carry several targets (XEP-0220 §2.6).
    pub errors: bool,
}

/// What the receiving entity offers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// TLS.
    pub starttls: Option<StartTls>,
    /// SASL EXTERNAL.
    pub external: bool,
    /// Dialback.
    pub dialback: Option<DialbackFeature>,
}

impl Features {
    /// Reads `<stream:features/>`. STARTTLS alone is mandatory even without `<required/>` (RFC 6120 §5.3.1).
    pub fn read(features: &Node) -> Self {
        let starttls = features.child(Namespace::Tls, "starttls").map(|starttls| {
            let required = starttls.child(Namespace::Tls, "required").is_some();
            let alone = features.children.len() == 1;
            if required || alone { StartTls::Required } else { StartTls::Optional }
        });
        let external = features.child(Namespace::Sasl, "mechanisms").is_some_and(|mechanisms| {
            mechanisms.children.iter().any(|child| {
                child.is(Namespace::Sasl, "mechanism") && child.text.trim() == "EXTERNAL"
            })
        });
        let dialback = features.child(Namespace::DialbackFeature, "dialback").map(|dialback| {
            DialbackFeature {
                errors: dialback.child(Namespace::DialbackFeature, "errors").is_some(),
            }
        });
        Self { starttls, external, dialback }
    }

    /// Writes `<stream:features/>`.
    pub(crate) fn write(self, out: &mut Out) {
        if self == Self::default() {
            out.put("<stream:features/>");
            return;
        }
        out.put("<stream:features>");
        match self.starttls {
            None => {}
            Some(StartTls::Optional) => {
                out.put("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            }
            Some(StartTls::Required) => {
                out.put("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>");
            }
        }
        if self.external {
            out.put(
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                 <mechanism>EXTERNAL</mechanism></mechanisms>",
            );
        }
        match self.dialback {
            None => {}
            Some(DialbackFeature { errors: false }) => {
                out.put("<dialback xmlns='urn:xmpp:features:dialback'/>");
            }
            Some(DialbackFeature { errors: true }) => {
                out.put("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>");
            }
        }
        out.put("</stream:features>");
    }
}
