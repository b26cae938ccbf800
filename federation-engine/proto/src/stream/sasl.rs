//! SASL EXTERNAL, both sides (RFC 6120 §6, XEP-0178 §3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crds::xmpp::{SaslCondition, StreamCondition};

use crate::Domain;
use crate::xml::{Namespace, Node};

use super::Out;

/// Success of the receiving entity (§6.4.6).
pub(crate) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/// Maximum attempts on one stream before it is closed (§6.4.5 requires 2 to 5).
pub(crate) const MAX_ATTEMPTS: u8 = 3;

/// Refuses an attempt (§6.4.5).
pub(crate) fn write_failure(out: &mut Out, condition: &SaslCondition) {
    out.put("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><");
    out.put(condition.as_str());
    out.put("/></failure>");
}

/// Checks the request of the initiating entity. `offered`: EXTERNAL was offered. `from` is the domain that its
/// certificate authenticates, which is the `from` of its header.
///
/// An absent initial response, `=` and the domain itself mean the same (XEP-0178 §3 requires the domain from senders,
/// RFC 6120 §6.3.8 `=`); the domain is compared after normalisation.
///
/// # Errors
/// The failure to answer with.
pub(crate) fn judge(element: &Node, offered: bool, from: &Domain) -> Result<(), SaslCondition> {
    match element.local.as_str() {
        "auth" => {}
        "abort" => return Err(SaslCondition::Aborted),
        _ => return Err(SaslCondition::MalformedRequest),
    }
    if !offered || element.attribute("mechanism") != Some("EXTERNAL") {
        return Err(SaslCondition::InvalidMechanism);
    }
    if matches!(element.text.as_str(), "" | "=") {
        return Ok(());
    }
    // Strict (§6.3.5): no white space, canonical padding, no trailing bits.
    let bytes = STANDARD.decode(&element.text).map_err(|_| SaslCondition::IncorrectEncoding)?;
    let text = String::from_utf8(bytes).map_err(|_| SaslCondition::InvalidAuthzid)?;
    match Domain::parse(&text) {
        Ok(authzid) if authzid == *from => Ok(()),
        _ => Err(SaslCondition::InvalidAuthzid),
    }
}

/// Writes the request of the initiating entity, with the authorization identity that older servers require (XEP-0178
/// §3).
pub(crate) fn write_auth(out: &mut Out, local: &Domain) {
    out.put("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>");
    out.put(&STANDARD.encode(local.as_str()));
    out.put("</auth>");
}

/// Condition and text of a `<failure/>`.
pub(crate) fn read_failure(failure: &Node) -> (SaslCondition, String) {
    let condition = failure.children.iter().find(|child| child.local != "text");
    // A failure without one is as uninformative as a stream error with this condition; SASL has no name for that.
    let condition = condition
        .map_or(StreamCondition::UndefinedCondition.as_str(), |child| child.local.as_str());
    let text = failure.child(Namespace::Sasl, "text").map_or("", |text| text.text.as_str());
    (condition.into(), text.to_owned())
}
