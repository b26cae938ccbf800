//! Answers for a local domain without a backend: ping and service discovery. All other requests are refused.

use bytes::{Bytes, BytesMut};
use crds::contact::Contact;
use crds::xmpp::StanzaCondition;
use s2s_proto::reason::StanzaError;
use s2s_proto::stanza::{Kind, bounce};
use s2s_proto::xml::escape::{attribute_into, escape_into};
use s2s_proto::xml::{Element, Namespace};

/// The kind of a request.
enum Question {
    Ping,
    Info,
    Items,
    /// Service discovery about a node that the domain does not have.
    Node,
    Other,
}

/// The answer to a stanza; `None` when it must not be answered (errors, results).
pub(crate) fn answer(stanza: &Element, contact: Option<&Contact>) -> Option<Bytes> {
    let error =
        |condition, text: &str| bounce::error_reply(stanza, &StanzaError::new(condition, text));
    match question(stanza) {
        Question::Ping => bounce::ping_result(stanza),
        Question::Info => bounce::result(stanza, &info(contact)),
        Question::Items => {
            bounce::result(stanza, b"<query xmlns='http://jabber.org/protocol/disco#items'/>")
        }
        Question::Node => error(StanzaCondition::ItemNotFound, ""),
        Question::Other => error(
            StanzaCondition::ServiceUnavailable,
            "no server accepts stanzas for this domain; only ping and service discovery are answered",
        ),
    }
}

/// Classifies a request (XEP-0030 §3.1, §4.1, XEP-0199 §3).
fn question(stanza: &Element) -> Question {
    if bounce::is_ping(stanza) {
        return Question::Ping;
    }
    if Kind::of(stanza) != Some(Kind::Iq) || stanza.type_().as_deref() != Some("get") {
        return Question::Other;
    }
    let Ok(iq) = stanza.tree() else { return Question::Other };
    let asked = [(Namespace::DiscoInfo, Question::Info), (Namespace::DiscoItems, Question::Items)];
    for (namespace, question) in asked {
        if let Some(query) = iq.child(namespace, "query") {
            return if query.attribute("node").is_some() { Question::Node } else { question };
        }
    }
    Question::Other
}

/// Identity and features (XEP-0030 §3.1), and contact addresses (XEP-0157 §3) in a form (XEP-0128).
fn info(contact: Option<&Contact>) -> BytesMut {
    let mut info = BytesMut::from(
        "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='server' type='im' name='federation-engine'/>\
         <feature var='http://jabber.org/protocol/disco#info'/>\
         <feature var='http://jabber.org/protocol/disco#items'/>\
         <feature var='urn:xmpp:ping'/>",
    );
    if let Some(contact) = contact.filter(|contact| !contact.is_empty()) {
        form_into(&mut info, contact);
    }
    info.extend_from_slice(b"</query>");
    info
}

fn form_into(out: &mut BytesMut, contact: &Contact) {
    out.extend_from_slice(
        b"<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>\
          <value>http://jabber.org/network/serverinfo</value></field>",
    );
    for (role, addresses) in contact.roles() {
        if addresses.is_empty() {
            continue;
        }
        out.extend_from_slice(b"<field");
        attribute_into(out, "var", &format!("{role}-addresses"));
        attribute_into(out, "type", "list-multi");
        out.extend_from_slice(b">");
        for address in addresses {
            out.extend_from_slice(b"<value>");
            escape_into(out, address.as_str());
            out.extend_from_slice(b"</value>");
        }
        out.extend_from_slice(b"</field>");
    }
    out.extend_from_slice(b"</x>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use s2s_proto::xml::Node;

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";

    fn request(payload: &str) -> Element {
        let iq = format!(
            "<iq type='get' from='romeo@peer.example/r' to='local.example' id='d1'>{payload}</iq>"
        );
        Element::parse(iq.as_bytes()).unwrap()
    }

    fn asked(payload: &str, contact: &Contact) -> (String, Node) {
        let answer = answer(&request(payload), Some(contact)).unwrap();
        let node = Element::parse(&answer).unwrap().tree().unwrap();
        assert_eq!(node.attribute("to"), Some("romeo@peer.example/r"));
        assert_eq!(
            (node.attribute("from"), node.attribute("id")),
            (Some("local.example"), Some("d1"))
        );
        (String::from_utf8(answer.to_vec()).unwrap(), node)
    }

    /// Fields of the form, with their values.
    fn form(info: &Node) -> Vec<(&str, &str, Vec<&str>)> {
        let query = info.child(Namespace::DiscoInfo, "query").unwrap();
        let form = query.children.iter().find(|child| child.local == "x");
        form.map(|form| {
            form.children
                .iter()
                .map(|field| {
                    (
                        field.attribute("var").unwrap(),
                        field.attribute("type").unwrap(),
                        field.children.iter().map(|value| value.text.as_str()).collect(),
                    )
                })
                .collect()
        })
        .unwrap_or_default()
    }

    #[test]
    fn xep0157_3_contact_addresses_are_a_form_of_their_own_type_and_escaped() {
        let contact = Contact {
            abuse: vec![
                "mailto:abuse@local.example".parse().unwrap(),
                "xmpp:abuse@local.example?message;subject=Abuse".parse().unwrap(),
            ],
            support: vec!["https://local.example/?a=1&b='2'".parse().unwrap()],
            ..Contact::default()
        };
        let (text, node) = asked(INFO, &contact);
        assert_eq!(
            form(&node),
            [
                ("FORM_TYPE", "hidden", vec!["http://jabber.org/network/serverinfo"]),
                (
                    "abuse-addresses",
                    "list-multi",
                    vec![
                        "mailto:abuse@local.example",
                        "xmpp:abuse@local.example?message;subject=Abuse"
                    ]
                ),
                ("support-addresses", "list-multi", vec!["https://local.example/?a=1&b='2'"]),
            ]
        );
        assert!(text.contains("a=1&amp;b='2'<"), "{text}");
        assert!(text.contains("<x xmlns='jabber:x:data' type='result'>"), "{text}");
    }

    #[test]
    fn xep0030_3_1_without_addresses_there_is_no_form() {
        let (_, node) = asked(INFO, &Contact::default());
        assert_eq!(form(&node), []);
        let query = node.child(Namespace::DiscoInfo, "query").unwrap();
        let features: Vec<_> =
            query.children.iter().filter_map(|child| child.attribute("var")).collect();
        assert_eq!(
            features,
            [
                "http://jabber.org/protocol/disco#info",
                "http://jabber.org/protocol/disco#items",
                "urn:xmpp:ping"
            ]
        );
    }

    #[test]
    fn xep0030_4_1_the_list_of_items_is_empty_and_no_error() {
        let (_, node) = asked(ITEMS, &Contact::default());
        assert_eq!(node.attribute("type"), Some("result"));
        assert!(node.child(Namespace::DiscoItems, "query").unwrap().children.is_empty());
    }

    #[test]
    fn xep0030_7_a_node_is_not_found() {
        for namespace in ["info", "items"] {
            let query =
                format!("<query xmlns='http://jabber.org/protocol/disco#{namespace}' node='x'/>");
            let (text, node) = asked(&query, &Contact::default());
            assert_eq!(node.attribute("type"), Some("error"));
            assert!(text.contains("<item-not-found "), "{text}");
        }
    }

    #[test]
    fn what_is_neither_ping_nor_service_discovery_is_refused_and_answers_are_not_answered() {
        let (text, _) = asked("<query xmlns='jabber:iq:version'/>", &Contact::default());
        assert!(text.contains("<service-unavailable "), "{text}");
        let result = "<iq type='result' from='romeo@peer.example' to='local.example' id='d1'/>";
        let result = Element::parse(result.as_bytes()).unwrap();
        assert!(answer(&result, Some(&Contact::default())).is_none());
    }
}
