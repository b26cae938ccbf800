//! The four elements of dialback on the wire (XEP-0220 §2.1, §2.2), and errors in them (§2.5).

use crate::Domain;
use crate::pair::Pair;
use crate::stream::Out;
use crate::xml::chars::{is_name_char, is_name_start};
use crate::xml::escape::{attribute_into, escape_into, printable};
use crate::xml::{Element, Namespace, Node};

use super::Verification;

/// Longest key that is passed on. Those of XEP-0185 have 64 bytes; keys of others are opaque.
const MAX_KEY: usize = 1024;
/// Bytes of explanation in an error.
const MAX_TEXT: usize = 512;

/// A dialback element. Pairs are as the attributes `from` and `to` of the element itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Step 1: the initiating server claims `from` (§2.1.1).
    Result {
        /// Claimed domain, and the domain it wants to send to.
        pair: Pair,
        /// Its key.
        key: String,
    },
    /// Step 2: the receiving server asks the authoritative one (§2.1.2).
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
        /// As in the question.
        id: String,
        /// The answer.
        answer: Verification,
    },
    /// Step 4: the receiving server answers (§2.2.1).
    ResultAnswer {
        /// Receiving domain, initiating domain.
        pair: Pair,
        /// The answer.
        answer: Verification,
    },
}

/// The element is none of the four.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAStep {
    /// `from` or `to` is missing or no domain.
    #[error("the dialback element has no usable 'from' or 'to'")]
    Addresses,
    /// Unknown name or type, no ID, no key.
    #[error("the dialback element is malformed")]
    Malformed,
}

impl Step {
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
            Some("valid") => Some(Verification::Valid),
            Some("invalid") => Some(Verification::Invalid),
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
    pub(crate) fn write(&self, out: &mut Out) {
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

fn read_error(node: &Node) -> Verification {
    let error = node.children.iter().find(|child| child.local == "error");
    let part = |text: bool| {
        error.and_then(|error| {
            error.children.iter().find(|child| {
                child.namespace == Namespace::StanzaError && (child.local == "text") == text
            })
        })
    };
    Verification::Error {
        condition: part(false).map_or("undefined-condition", |child| &child.local).to_owned(),
        text: part(true).map_or_else(String::new, |text| printable(text.text.trim(), MAX_TEXT)),
    }
}

fn write_answer(out: &mut Out, answer: &Verification) {
    let (condition, text) = match answer {
        Verification::Valid => return out.put(" type='valid'>"),
        Verification::Invalid => return out.put(" type='invalid'>"),
        Verification::Error { condition, text } => (condition.as_str(), text),
    };
    let condition = if is_name(condition) { condition } else { "undefined-condition" };
    out.put(" type='error'><error");
    // What time may cure (§2.5): the peer tries again; for all the rest it has to change something.
    let kind = match condition {
        "remote-server-timeout" | "resource-constraint" => "wait",
        _ => "cancel",
    };
    attribute_into(&mut out.bytes, "type", kind);
    out.put("><");
    out.put(condition);
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
