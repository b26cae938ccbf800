//! Stanzas whose sender waits for an answer.

use super::Kind;
use crate::xml::Element;

/// The element in the presence by which a client enters a room (XEP-0045 §7.2.1).
const MUC: &str = "http://jabber.org/protocol/muc";

/// Whether the sender of a stanza waits for its answer: to an iq request (RFC 6120 §8.2.3), or to a presence that
/// enters a room. An error now is more useful to the sender than an answer in a minute. All other stanzas may arrive
/// later.
///
/// Parses the stanza: not used for stanzas that can be sent.
pub fn fails_fast(stanza: &Element) -> bool {
    let type_ = stanza.type_();
    match Kind::of(stanza) {
        Some(Kind::Iq) => !matches!(type_.as_deref(), Some("result" | "error")),
        Some(Kind::Presence) => {
            type_.is_none()
                // A room is entered under a nickname, which is the resourcepart.
                && stanza.to().is_some_and(|to| to.contains('/'))
                && stanza.has_child(MUC, "x")
        }
        Some(Kind::Message) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> bool {
        fails_fast(&Element::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_person_waits_for_the_answer_to_a_request_and_to_entering_a_room() {
        let join = "<x xmlns='http://jabber.org/protocol/muc'/>";
        for (stanza, expected) in [
            ("<iq type='get' to='them.example'/>".to_owned(), true),
            ("<iq type='set' to='them.example'/>".to_owned(), true),
            ("<iq type='result' to='them.example'/>".to_owned(), false),
            ("<iq type='error' to='them.example'/>".to_owned(), false),
            (format!("<presence to='room@them.example/nick'>{join}</presence>"), true),
            (
                format!(
                    "<presence to='room@them.example/nick'><c xmlns='urn:c'/>{join}</presence>"
                ),
                true,
            ),
            (format!("<presence to='room@them.example'>{join}</presence>"), false),
            (
                format!("<presence to='r@them.example/n' type='unavailable'>{join}</presence>"),
                false,
            ),
            ("<presence to='room@them.example/nick'/>".to_owned(), false),
            ("<presence to='romeo@them.example' type='subscribe'/>".to_owned(), false),
            (format!("<message to='room@them.example/nick'>{join}</message>"), false),
            ("<message to='romeo@them.example' type='chat'/>".to_owned(), false),
            ("<message to='room@them.example' type='groupchat'/>".to_owned(), false),
        ] {
            assert_eq!(of(&stanza), expected, "{stanza}");
        }
    }
}
