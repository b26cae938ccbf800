//! Answers for a local domain without a backend: ping, service discovery and, if allowed, the software version. All other
//! requests are refused.

use bytes::{Bytes, BytesMut};
use crds::contact::Contact;
use crds::xmpp::StanzaCondition;
use s2s_proto::reason::StanzaError;
use s2s_proto::stanza::{Kind, bounce};
use s2s_proto::xml::escape::{attribute_into, escape_into};
use s2s_proto::xml::{Element, Namespace};

use crate::config::LocalDomain;

/// The kind of a request.
enum Question {
    Ping,
    Info,
    Items,
    Version,
    /// Service discovery about a node that the domain does not have.
    Node,
    Other,
}

/// The answer to a stanza for the domain; `None` when it must not be answered (errors, results).
pub(crate) fn answer(stanza: &Element, local: Option<&LocalDomain>) -> Option<Bytes> {
    let error =
        |condition, text: &str| bounce::error_reply(stanza, &StanzaError::new(condition, text));
    let shows_version = local.is_some_and(|local| local.show_version);
    match question(stanza) {
        Question::Ping => bounce::ping_result(stanza),
        Question::Info => bounce::result(stanza, &info(local)),
        Question::Items => {
            bounce::result(stanza, b"<query xmlns='http://jabber.org/protocol/disco#items'/>")
        }
        Question::Version if shows_version => bounce::result(stanza, &version()),
        // Says no more about the software than about a feature that it does not have.
        Question::Version => error(StanzaCondition::ServiceUnavailable, ""),
        Question::Node => error(StanzaCondition::ItemNotFound, ""),
        Question::Other => error(StanzaCondition::ServiceUnavailable, &refusal(local)),
    }
}

/// The text for a person who wrote to somebody at the domain.
fn refusal(local: Option<&LocalDomain>) -> String {
    let contact = local.and_then(|local| {
        let contact = &local.contact;
        [&contact.support, &contact.admin, &contact.feedback, &contact.abuse]
            .into_iter()
            .find_map(|addresses| addresses.first())
    });
    match contact {
        Some(address) => format!(
            "this domain has no users, and nobody receives messages for it; its contact is {}",
            address.as_str()
        ),
        None => "this domain has no users, and nobody receives messages for it".to_owned(),
    }
}

/// Name and version of the software (XEP-0092 §2). The operating system is nobody's business.
fn version() -> Bytes {
    Bytes::from_static(
        concat!(
            "<query xmlns='jabber:iq:version'><name>federation-engine</name><version>",
            env!("CARGO_PKG_VERSION"),
            "</version></query>"
        )
        .as_bytes(),
    )
}

/// Classifies a request (XEP-0030 §3.1, §4.1, XEP-0092 §2, XEP-0199 §3).
fn question(stanza: &Element) -> Question {
    if bounce::is_ping(stanza) {
        return Question::Ping;
    }
    if Kind::of(stanza) != Some(Kind::Iq) || stanza.type_().as_deref() != Some("get") {
        return Question::Other;
    }
    let Ok(iq) = stanza.tree() else { return Question::Other };
    if iq.child(Namespace::Version, "query").is_some() {
        return Question::Version;
    }
    let asked = [(Namespace::DiscoInfo, Question::Info), (Namespace::DiscoItems, Question::Items)];
    for (namespace, question) in asked {
        if let Some(query) = iq.child(namespace, "query") {
            return if query.attribute("node").is_some() { Question::Node } else { question };
        }
    }
    Question::Other
}

/// Identity and features (XEP-0030 §3.1), and contact addresses (XEP-0157 §3) in a form (XEP-0128).
fn info(local: Option<&LocalDomain>) -> BytesMut {
    let mut info = BytesMut::from(
        "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='server' type='im' name='federation-engine'/>\
         <feature var='http://jabber.org/protocol/disco#info'/>\
         <feature var='http://jabber.org/protocol/disco#items'/>\
         <feature var='urn:xmpp:ping'/>",
    );
    if local.is_some_and(|local| local.show_version) {
        info.extend_from_slice(b"<feature var='jabber:iq:version'/>");
    }
    let contact = local.map(|local| &local.contact);
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

    fn local(contact: &Contact, show_version: bool) -> LocalDomain {
        let (name, contact) = ("local.example".parse().unwrap(), contact.clone());
        LocalDomain { name, backend: None, contact, show_version }
    }

    fn asked(payload: &str, contact: &Contact) -> (String, Node) {
        asked_of(&local(contact, false), payload)
    }

    fn asked_of(local: &LocalDomain, payload: &str) -> (String, Node) {
        let answer = answer(&request(payload), Some(local)).unwrap();
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
        let (text, _) = asked("<query xmlns='jabber:iq:last'/>", &Contact::default());
        assert!(text.contains("<service-unavailable "), "{text}");
        let result = "<iq type='result' from='romeo@peer.example' to='local.example' id='d1'/>";
        let result = Element::parse(result.as_bytes()).unwrap();
        assert!(answer(&result, Some(&local(&Contact::default(), true))).is_none());
    }

    #[test]
    fn xep0092_2_name_and_version_are_reported_and_announced_only_if_allowed() {
        let query = "<query xmlns='jabber:iq:version'/>";
        let (hidden, shown) = (local(&Contact::default(), false), local(&Contact::default(), true));
        let (text, node) = asked_of(&hidden, query);
        assert_eq!(node.attribute("type"), Some("error"));
        assert!(text.contains("<service-unavailable ") && !text.contains("engine"), "{text}");
        let (_, node) = asked_of(&shown, query);
        let answer = node.child(Namespace::Version, "query").unwrap();
        let fields: Vec<_> =
            answer.children.iter().map(|field| (&*field.local, &*field.text)).collect();
        assert_eq!(fields, [("name", "federation-engine"), ("version", env!("CARGO_PKG_VERSION"))]);
        for (local, announced) in [(&hidden, false), (&shown, true)] {
            let (text, _) = asked_of(local, INFO);
            assert_eq!(text.contains("'jabber:iq:version'"), announced, "{text}");
        }
    }

    #[test]
    fn who_writes_to_somebody_there_learns_that_nobody_reads_it_and_whom_to_ask() {
        let message = "<message type='chat' from='romeo@peer.example/r' to='juliet@local.example' id='m1'><body>Hi</body></message>";
        let message = Element::parse(message.as_bytes()).unwrap();
        let bounced = |contact: &Contact| {
            let answer = answer(&message, Some(&local(contact, false))).unwrap();
            String::from_utf8(answer.to_vec()).unwrap()
        };
        let text = bounced(&Contact::default());
        assert!(text.contains("<service-unavailable ") && text.contains("no users"), "{text}");
        assert!(!text.contains("contact"), "{text}");
        let contact = Contact {
            abuse: vec!["mailto:abuse@local.example".parse().unwrap()],
            support: vec!["https://local.example/?a=1&b=2".parse().unwrap()],
            ..Contact::default()
        };
        let text = bounced(&contact);
        assert!(text.contains("its contact is https://local.example/?a=1&amp;b=2<"), "{text}");
    }
}
