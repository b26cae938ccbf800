//! SASL EXTERNAL, both sides (RFC 6120 §6, XEP-0178 §3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Domain;
use crate::xml::{Namespace, Node};

use super::Out;

/// Consent of the receiving entity (§6.4.6).
pub(crate) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/// Attempts on one stream before it is closed (§6.4.5 asks for 2 to 5).
pub(crate) const MAX_ATTEMPTS: u8 = 3;

/// SASL failures that we send (§6.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SaslFailure {
    /// §6.5.1.
    Aborted,
    /// §6.5.5.
    IncorrectEncoding,
    /// §6.5.6.
    InvalidAuthzid,
    /// §6.5.7.
    InvalidMechanism,
    /// §6.5.8.
    MalformedRequest,
}

impl SaslFailure {
    /// Name of the element.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
        }
    }

    pub(crate) fn write(self, out: &mut Out) {
        out.put("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><");
        out.put(self.as_str());
        out.put("/></failure>");
    }
}

/// Judges what the initiating entity sent: `offered` says whether EXTERNAL was offered, `from` is the domain that its
/// certificate proves, which is the `from` of its header.
///
/// An absent initial response, `=` and the domain itself mean the same (XEP-0178 §3 asks senders for the domain, RFC 6120
/// §6.3.8 for `=`); the domain is compared after normalisation.
///
/// # Errors
/// The failure to answer with.
pub fn judge(element: &Node, offered: bool, from: &Domain) -> Result<(), SaslFailure> {
    match element.local.as_str() {
        "auth" => {}
        "abort" => return Err(SaslFailure::Aborted),
        _ => return Err(SaslFailure::MalformedRequest),
    }
    if !offered || element.attribute("mechanism") != Some("EXTERNAL") {
        return Err(SaslFailure::InvalidMechanism);
    }
    if matches!(element.text.as_str(), "" | "=") {
        return Ok(());
    }
    // Strict (§6.3.5): no white space, canonical padding, no trailing bits.
    let bytes = STANDARD.decode(&element.text).map_err(|_| SaslFailure::IncorrectEncoding)?;
    let text = String::from_utf8(bytes).map_err(|_| SaslFailure::InvalidAuthzid)?;
    match Domain::parse(&text) {
        Ok(authzid) if authzid == *from => Ok(()),
        _ => Err(SaslFailure::InvalidAuthzid),
    }
}

/// Writes the request of the initiating entity, with the authorization identity that older servers insist on (XEP-0178 §3).
pub(crate) fn write_auth(out: &mut Out, local: &Domain) {
    out.put("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>");
    out.put(&STANDARD.encode(local.as_str()));
    out.put("</auth>");
}

/// Condition and text of a `<failure/>`.
pub fn read_failure(failure: &Node) -> (String, String) {
    let condition = failure
        .children
        .iter()
        .find(|child| child.local != "text")
        .map_or("undefined-condition", |child| child.local.as_str());
    let text = failure.child(Namespace::Sasl, "text").map_or("", |text| text.text.as_str());
    (condition.to_owned(), text.to_owned())
}
