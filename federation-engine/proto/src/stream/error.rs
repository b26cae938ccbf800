//! Stream errors (RFC 6120 §4.9): those that we send, and parsing those that peers send.

use bytes::BytesMut;
use crds::word::Word;
use crds::xmpp::StreamCondition;

use crate::reason::{Failure, Refusal};
use crate::xml::escape::{attribute_into, escape_into, printable};
use crate::xml::{Bounds, Element, Item, Namespace, Node, Scanner, XmlError};

use super::redirect::Redirect;

/// A stream error to send: it closes the stream.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{condition}: {text}")]
pub struct StreamError {
    /// The defined condition.
    pub condition: StreamCondition,
    /// For the administrators of the peer; may be empty. Contains nothing about this side.
    pub text: String,
    /// The stable word for the reason, in the evidence; never sent.
    pub reason: Word,
    /// The true cause, for the local administrators, if it has more detail than `text`; never sent.
    pub cause: Option<String>,
}

impl StreamError {
    /// An error with an explanation.
    pub fn new(condition: StreamCondition, text: impl Into<String>) -> Self {
        let reason = word(&condition);
        Self { condition, text: text.into(), reason, cause: None }
    }

    /// The same with a word that is more specific than the condition.
    #[must_use]
    pub fn because(self, reason: Word) -> Self {
        Self { reason, ..self }
    }

    /// The same with the true cause, for the local administrators only.
    #[must_use]
    pub fn caused_by(self, cause: String) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// The stream closes on this element. The element is the peer's own, so both sides get its name.
    pub(crate) fn at(element: &Element, refusal: Refusal) -> Self {
        let text = format!("{refusal}: {}", element.described());
        Self { text, ..Self::from(refusal) }
    }

    /// A certificate that the stream depends on has expired (RFC 6120 §13.7.2.3, §4.9.3.16).
    pub fn expired() -> Self {
        let text = "a certificate of this stream has expired; open another stream";
        Self::new(StreamCondition::Reset, text)
    }

    /// The peer does not respond, as opposed to being idle (RFC 6120 §4.6.3, §4.9.3.4).
    pub(crate) fn unanswered() -> Self {
        let text = "a request for an acknowledgement was not answered in time";
        Self::new(StreamCondition::ConnectionTimeout, text)
    }
}

/// The stable word of an error that we send without a more specific one. The conditions that share a word are sent by
/// others only: no reason of ours has them.
fn word(condition: &StreamCondition) -> Word {
    use StreamCondition as Condition;
    match condition {
        Condition::BadNamespacePrefix => Word::BadNamespacePrefix,
        Condition::Conflict => Word::Conflict,
        Condition::ConnectionTimeout => Word::NegotiationTimedOut,
        Condition::HostGone => Word::HostGone,
        Condition::HostUnknown => Word::HostUnknown,
        Condition::ImproperAddressing => Word::ImproperAddressing,
        Condition::InvalidFrom => Word::InvalidFrom,
        Condition::InvalidNamespace => Word::InvalidNamespace,
        Condition::NotAuthorized => Word::NotAuthorized,
        Condition::NotWellFormed => Word::NotWellFormed,
        Condition::PolicyViolation => Word::PolicyViolation,
        Condition::Reset => Word::Reset,
        Condition::ResourceConstraint => Word::ResourceConstraint,
        Condition::RestrictedXml => Word::RestrictedXml,
        Condition::SystemShutdown => Word::ShuttingDown,
        Condition::UnsupportedEncoding => Word::UnsupportedEncoding,
        Condition::UnsupportedStanzaType => Word::UnsupportedStanzaType,
        Condition::UnsupportedVersion => Word::UnsupportedVersion,
        Condition::BadFormat
        | Condition::InternalServerError
        | Condition::InvalidId
        | Condition::InvalidXml
        | Condition::RemoteConnectionFailed
        | Condition::SeeOtherHost
        | Condition::UndefinedCondition
        | Condition::UnsupportedFeature
        | Condition::XmlNotWellFormed
        | Condition::Other(_) => Word::UndefinedCondition,
    }
}

impl From<XmlError> for StreamError {
    fn from(error: XmlError) -> Self {
        let condition = match error {
            XmlError::NotWellFormed(_) => StreamCondition::NotWellFormed,
            XmlError::Restricted(_) => StreamCondition::RestrictedXml,
            XmlError::UnsupportedEncoding => StreamCondition::UnsupportedEncoding,
            XmlError::Exceeded(_) => StreamCondition::PolicyViolation,
        };
        Self::new(condition, error.to_string())
    }
}

impl From<Refusal> for StreamError {
    fn from(refusal: Refusal) -> Self {
        let condition = match refusal {
            Refusal::ImproperAddressing | Refusal::MalformedAddress => {
                StreamCondition::ImproperAddressing
            }
            Refusal::InvalidFrom => StreamCondition::InvalidFrom,
            Refusal::HostUnknown => StreamCondition::HostUnknown,
            Refusal::NotAuthorized => StreamCondition::NotAuthorized,
            Refusal::UnsupportedStanzaType => StreamCondition::UnsupportedStanzaType,
            Refusal::PolicyDenied
            | Refusal::TooLarge
            | Refusal::UndeliverableError
            | Refusal::EndsStreams => StreamCondition::PolicyViolation,
            Refusal::QueueFull | Refusal::TooManyNames => StreamCondition::ResourceConstraint,
            Refusal::BackendUnreachable => StreamCondition::RemoteConnectionFailed,
        };
        Self::new(condition, refusal.to_string()).because(refusal.word())
    }
}

/// `xml:lang` of every header that we send (RFC 6120 §4.7.4): the language of our error texts.
pub const LANG: &str = "en";

/// Maximum bytes of explanation in an error that we send, or keep of one that a peer sent.
const MAX_TEXT: usize = 512;

impl StreamError {
    /// Writes the error; `</stream:stream>` is not part of it.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"<stream:error><");
        out.extend_from_slice(self.condition.as_str().as_bytes());
        attribute_into(out, "xmlns", Namespace::StreamError.uri());
        out.extend_from_slice(b"/>");
        if !self.text.is_empty() {
            out.extend_from_slice(b"<text");
            attribute_into(out, "xmlns", Namespace::StreamError.uri());
            attribute_into(out, "xml:lang", LANG);
            out.extend_from_slice(b">");
            escape_into(out, &printable(&self.text, MAX_TEXT));
            out.extend_from_slice(b"</text>");
        }
        out.extend_from_slice(b"</stream:error>");
    }
}

/// The failure that a peer's stream error means. Parsed leniently: implementations put the condition into other
/// namespaces, use names of RFC 3920, or send only text.
pub fn read(error: &Node) -> Failure {
    let text = error
        .children
        .iter()
        .find(|child| child.local == "text")
        .map_or(error.text.as_str(), |text| text.text.as_str());
    let element = error.children.iter().find(|child| child.local != "text");
    let condition = element.map_or(StreamCondition::UndefinedCondition, |element| {
        StreamCondition::from(element.local.as_str())
    });
    match (condition, element) {
        (StreamCondition::SeeOtherHost, Some(element)) => {
            Failure::SeeOtherHost(Redirect::read(element.text.trim()))
        }
        (condition, _) => {
            Failure::StreamError { condition, text: printable(text.trim(), MAX_TEXT) }
        }
    }
}

/// The failure that a peer sends in place of a stream: a stream error without a header, or after one that is not
/// acceptable. `begin` are the first bytes that it sent.
pub fn read_early(begin: &[u8]) -> Option<Failure> {
    const HEADER: &[u8] = b"<stream:stream xmlns='jabber:server' \
        xmlns:stream='http://etherx.jabber.org/streams'>";
    let declared = memchr::memmem::find(begin, b"?>").map(|at| at.saturating_add(2));
    let declared = declared.filter(|_| begin.starts_with(b"<?xml")).unwrap_or_default();
    let content = begin.get(declared..).unwrap_or_default();
    let read = |bytes: BytesMut| {
        let mut bytes = bytes;
        let mut scanner = Scanner::new(Bounds::PRE_AUTHENTICATION);
        scanner.next(&mut bytes).ok()??;
        match scanner.next(&mut bytes).ok()?? {
            Item::Element(element) if element.is(Namespace::Stream, "error") => {
                Some(self::read(&element.tree().ok()?))
            }
            _ => None,
        }
    };
    let with_header = [HEADER, content].concat();
    read(BytesMut::from(content)).or_else(|| read(BytesMut::from(with_header.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_error_without_a_good_header_is_in_the_peers_own_words() {
        let own = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
        let children = format!("<host-unknown {own}/><text {own}>not here</text>");
        let streams = "xmlns:stream='http://etherx.jabber.org/streams'";
        let expected = Failure::StreamError {
            condition: StreamCondition::HostUnknown,
            text: "not here".to_owned(),
        };
        for begin in [
            format!("<stream:error {streams}>{children}</stream:error></stream:stream>"),
            format!("<stream:error>{children}</stream:error></stream:stream>"),
            format!("<?xml version='1.0'?> <stream:error>{children}</stream:error>"),
            format!("<error xmlns='http://etherx.jabber.org/streams'>{children}</error>"),
            format!(
                "<?xml version='1.0'?><stream:stream xmlns='jabber:client' {streams} id='1'>\
                 <stream:error>{children}</stream:error></stream:stream>"
            ),
            format!("<stream:stream {streams}><stream:error>{children}</stream:error>"),
        ] {
            assert_eq!(read_early(begin.as_bytes()), Some(expected.clone()), "{begin}");
        }
        for begin in
            ["", "HTTP/1.1 400 Bad Request\r\n", "<?xml", "<html><body/></html>", "<stream:error>"]
        {
            assert_eq!(read_early(begin.as_bytes()), None, "{begin}");
        }
    }
}
