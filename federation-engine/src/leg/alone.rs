//! Answers for a local domain that has no backend: ping and service discovery; everything else is refused.

use bytes::Bytes;

use crate::reason::{ErrorKind, StanzaError};
use crate::stanza::{Kind, bounce};
use crate::xml::{Element, Namespace};

/// The answer to a stanza; `None` when it must not be answered (errors, results).
pub(crate) fn answer(stanza: &Element) -> Option<Bytes> {
    if bounce::is_ping(stanza) {
        return bounce::ping_result(stanza);
    }
    if asks_for_disco_info(stanza) {
        return bounce::result(
            stanza,
            "<query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity category='server' type='im' name='federation-engine'/>\
             <feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:xmpp:ping'/></query>",
        );
    }
    let text =
        "no server behind this domain takes stanzas; it answers ping and service discovery only";
    let error = StanzaError {
        kind: ErrorKind::Cancel,
        condition: "service-unavailable",
        text: text.to_owned(),
    };
    bounce::error_reply(stanza, &error)
}

/// XEP-0030 §3.1.
fn asks_for_disco_info(stanza: &Element) -> bool {
    Kind::of(stanza) == Some(Kind::Iq)
        && stanza.type_().as_deref() == Some("get")
        && stanza.tree().is_ok_and(|iq| iq.child(Namespace::DiscoInfo, "query").is_some())
}
