//! The four elements of dialback on the wire (XEP-0220 §2.1, §2.2), and errors in them (§2.5).

use crds::xmpp::{ErrorType, StanzaCondition};

use crate::Domain;
use crate::pair::Pair;
use crate::stream::Out;
use crate::xml::chars::{is_name_char, is_name_start};
use crate::xml::escape::{attribute_into, escape_into, printable};
use crate::xml::{Element, Namespace, Node};

use super::KeyVerdict;

/// Longest key that is relayed. Those of XEP-0185 have 64 bytes; keys of other servers are opaque.
const MAX_KEY: usize = 1024;
/// Maximum bytes of explanation in an error.
const MAX_TEXT: usize = 512;

/// A dialback element. Pairs are as the attributes `from` and `to` of the element itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DialbackElement {
    /// Step 1: the initiating server claims `from` (§2.1.1).
    Result {
        /// Claimed domain, and the domain to which it wants to send.
        pair: Pair,
        /// Its key.
        key: String,
    },
    /// Step 2: the receiving server queries the authoritative one (§2.1.2).
    Verify {
        /// Receiving domain, and the domain whose key it is.
        pair: Pair,
        /// ID of the stream on which the key came.
        id: String,
        /// The key.
        key: String,
    },
    /// Step 3: the authoritative server answers (§2.2.2).
    VerifyAnswer {
        /// Authoritative domain, receiving domain.
        pair: Pair,
        /// As in the request.
        id: String,
        /// The answer.
        answer: KeyVerdict,
    },
    /// Step 4: the receiving server answers (§2.2.1).
    ResultAnswer {
        /// Receiving domain, initiating domain.
        pair: Pair,
        /// The answer.
        answer: KeyVerdict,
    },
}

/// The element is none of the four.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAStep {
    /// `from` or `to` is missing or not a domain.
    #[error("the dialback element has no usable 'from' or 'to'")]
    Addresses,
    /// Unknown name or type, no ID, no key.
    #[error("the dialback element is malformed")]
    Malformed,
}

impl DialbackElement {
    /// Reads an element of the namespace `jabber:server:dialback`, whatever its prefix (§2.4.1).
    ///
    /// # Errors
    /// See [`NotAStep`].
    pub fn read(element: &Element) -> Result<Self, NotAStep> {
        let domain = |text: Option<std::borrow::Cow<'_, str>>| {
            text.and_then(|text| Domain::parse(&text).ok()).ok_or(NotAStep::Addresses)
        };
        let pair = Pair { from: domain(element.from())?, to: domain(element.to())? };
        let node = element.tree().map_err(|_| NotAStep::Malformed)?;
        let answer = match element.type_().as_deref() {
            None => None,
            Some("valid") => Some(KeyVerdict::Valid),
            Some("invalid") => Some(KeyVerdict::Invalid),
            Some("error") => Some(read_error(&node)),
            Some(_) => return Err(NotAStep::Malformed),
        };
        let id = || node.attribute("id").map(str::to_owned).ok_or(NotAStep::Malformed);
        match (node.local.as_str(), answer) {
            ("result", None) => Ok(Self::Result { pair, key: key(&node)? }),
            ("result", Some(answer)) => Ok(Self::ResultAnswer { pair, answer }),
            ("verify", None) => Ok(Self::Verify { pair, id: id()?, key: key(&node)? }),
            ("verify", Some(answer)) => Ok(Self::VerifyAnswer { pair, id: id()?, answer }),
            _ => Err(NotAStep::Malformed),
        }
    }

    /// Writes the element with the prefix that our headers declare.
    pub fn write(&self, out: &mut Out) {
        let (name, pair, id) = match self {
            Self::Result { pair, .. } | Self::ResultAnswer { pair, .. } => {
                ("db:result", pair, None)
            }
            Self::Verify { pair, id, .. } | Self::VerifyAnswer { pair, id, .. } => {
                ("db:verify", pair, Some(id))
            }
        };
        out.put("<");
        out.put(name);
        attribute_into(&mut out.bytes, "from", pair.from.as_str());
        attribute_into(&mut out.bytes, "to", pair.to.as_str());
        if let Some(id) = id {
            attribute_into(&mut out.bytes, "id", id);
        }
        match self {
            Self::Result { key, .. } | Self::Verify { key, .. } => {
                out.put(">");
                escape_into(&mut out.bytes, key);
            }
            Self::ResultAnswer { answer, .. } | Self::VerifyAnswer { answer, .. } => {
                write_answer(out, answer);
            }
        }
        out.put("</");
        out.put(name);
        out.put(">");
    }
}

fn key(node: &Node) -> Result<String, NotAStep> {
    let key = node.text.trim();
    if key.is_empty() || key.len() > MAX_KEY || !node.children.is_empty() {
        return Err(NotAStep::Malformed);
    }
    Ok(key.to_owned())
}

fn read_error(node: &Node) -> KeyVerdict {
    let error = node.children.iter().find(|child| child.local == "error");
    let part = |text: bool| {
        error.and_then(|error| {
            error.children.iter().find(|child| {
                child.namespace == Namespace::StanzaError && (child.local == "text") == text
            })
        })
    };
    KeyVerdict::Error {
        condition: part(false)
            .map_or(StanzaCondition::UndefinedCondition, |child| child.local.as_str().into()),
        text: part(true).map_or_else(String::new, |text| printable(text.text.trim(), MAX_TEXT)),
        cause: None,
    }
}

fn write_answer(out: &mut Out, answer: &KeyVerdict) {
    let (condition, text) = match answer {
        KeyVerdict::Valid => return out.put(" type='valid'>"),
        KeyVerdict::Invalid => return out.put(" type='invalid'>"),
        // From the authoritative server; a text that is not a name could become markup.
        KeyVerdict::Error { condition: StanzaCondition::Other(name), text, .. }
            if !is_name(name) =>
        {
            (&StanzaCondition::UndefinedCondition, text)
        }
        KeyVerdict::Error { condition, text, .. } => (condition, text),
    };
    out.put(" type='error'><error");
    // Not the types of RFC 6120 §8.3.3: "modify" and "auth" are about a stanza, and §2.5 has none. After a temporary
    // error the peer retries; for all others it must change something.
    let kind = match condition {
        StanzaCondition::RemoteServerTimeout | StanzaCondition::ResourceConstraint => {
            ErrorType::Wait
        }
        _ => ErrorType::Cancel,
    };
    attribute_into(&mut out.bytes, "type", kind.as_str());
    out.put("><");
    out.put(condition.as_str());
    attribute_into(&mut out.bytes, "xmlns", Namespace::StanzaError.uri());
    out.put("/>");
    if !text.is_empty() {
        out.put("<text");
        attribute_into(&mut out.bytes, "xmlns", Namespace::StanzaError.uri());
        attribute_into(&mut out.bytes, "xml:lang", crate::stream::header::LANG);
        out.put(">");
        escape_into(&mut out.bytes, &printable(text, MAX_TEXT));
        out.put("</text>");
    }
    out.put("</error>");
}

fn is_name(text: &str) -> bool {
    text.starts_with(is_name_start) && text.chars().all(is_name_char)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Bounds, Item, Scanner};

    fn read(element: &str) -> Result<DialbackElement, NotAStep> {
        let input = format!(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns:db='jabber:server:dialback'>{element}"
        );
        let mut scanner = Scanner::new(Bounds::PRE_AUTHENTICATION);
        let mut buf = bytes::BytesMut::from(input.as_str());
        scanner.next(&mut buf).unwrap();
        let Ok(Some(Item::Element(element))) = scanner.next(&mut buf) else { panic!("{element}") };
        DialbackElement::read(&element)
    }

    #[test]
    fn xep0220_2_every_step_that_is_written_is_read_back() {
        let domain = |text| Domain::parse(text).unwrap();
        let pair = Pair { from: domain("b\u{fc}cher.example"), to: domain("b.example") };
        let id = "i'<1>".to_owned();
        let mut steps = vec![
            DialbackElement::Result { pair: pair.clone(), key: "k&<>".to_owned() },
            DialbackElement::Verify { pair: pair.clone(), id: id.clone(), key: "k".to_owned() },
        ];
        for answer in [
            KeyVerdict::Valid,
            KeyVerdict::Invalid,
            KeyVerdict::error(StanzaCondition::RemoteServerTimeout, "too \"late\" & <gone>"),
            KeyVerdict::error(StanzaCondition::ItemNotFound, ""),
        ] {
            steps
                .push(DialbackElement::ResultAnswer { pair: pair.clone(), answer: answer.clone() });
            steps.push(DialbackElement::VerifyAnswer {
                pair: pair.clone(),
                id: id.clone(),
                answer,
            });
        }
        for step in steps {
            let mut out = Out::default();
            step.write(&mut out);
            let text = String::from_utf8(out.bytes.to_vec()).unwrap();
            assert_eq!(read(&text), Ok(step), "{text}");
        }
    }

    #[test]
    fn a_condition_that_is_no_name_cannot_become_markup() {
        for condition in ["", "x/><evil", "1", "a b"] {
            let mut out = Out::default();
            write_answer(&mut out, &KeyVerdict::error(condition.into(), ""));
            let text = String::from_utf8(out.bytes.to_vec()).unwrap();
            assert!(text.contains("<undefined-condition "), "{text}");
        }
    }

    #[test]
    fn keys_are_opaque_but_bounded() {
        let with = |key: &str| {
            read(&format!("<db:result from='a.example' to='b.example'>{key}</db:result>"))
        };
        for key in ["0123456789abcdef0123456789abcdef01234567", "any thing"] {
            assert!(
                matches!(with(key), Ok(DialbackElement::Result { key: read, .. }) if read == key)
            );
        }
        for key in ["", "  ", "<x/>k", &"k".repeat(1025)] {
            assert_eq!(with(key), Err(NotAStep::Malformed), "{key}");
        }
    }
}
