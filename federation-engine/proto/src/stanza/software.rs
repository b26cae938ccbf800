//! The software of a server, by its own words: its version (XEP-0092), or else its identity in service discovery
//! (XEP-0030).

use bytes::Bytes;

use super::bounce::request;
use crate::xml::{Element, Namespace, Node};

/// Maximum bytes of a name and of a version.
const MAX_TEXT: usize = 64;
/// Maximum bytes of an answer that is read. Real ones have a few thousand.
const MAX_ANSWER: usize = 64 * 1024;

/// The name and the version of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Software {
    /// One line of at most 64 bytes, not empty.
    pub name: String,
    /// The same; `None` if the server does not report it.
    pub version: Option<String>,
}

/// The request for the version (XEP-0092 §2).
pub fn version_request(from: &str, to: &str, id: &str) -> Bytes {
    request(from, to, id, "query", Namespace::Version)
}

/// The request for identity and features (XEP-0030 §3.1).
pub fn identity_request(from: &str, to: &str, id: &str) -> Bytes {
    request(from, to, id, "query", Namespace::DiscoInfo)
}

/// What the answer to [`version_request`] reports. The operating system, which some servers add, is not read.
pub fn version(answer: &Element) -> Option<Software> {
    let result = result(answer)?;
    let query = result.child(Namespace::Version, "query")?;
    let text = |local| line(&query.children.iter().find(|child| child.local == local)?.text);
    Some(Software { name: text("name")?, version: text("version") })
}

/// The name in the answer to [`identity_request`]: that of the first identity of a server that has one.
pub fn identity(answer: &Element) -> Option<Software> {
    let result = result(answer)?;
    let query = result.child(Namespace::DiscoInfo, "query")?;
    let name = |identity: &Node| {
        let is_server =
            identity.local == "identity" && identity.attribute("category") == Some("server");
        if is_server { line(identity.attribute("name")?) } else { None }
    };
    Some(Software { name: query.children.iter().find_map(name)?, version: None })
}

fn result(answer: &Element) -> Option<Node> {
    let readable =
        answer.bytes().len() <= MAX_ANSWER && answer.type_().as_deref() == Some("result");
    if readable { answer.tree().ok() } else { None }
}

/// The text in one line without invisible characters, cut at a character boundary; `None` if nothing is left.
fn line(text: &str) -> Option<String> {
    let mut line = String::new();
    for word in text.split_whitespace() {
        let room = MAX_TEXT.saturating_sub(line.len());
        let space = if line.is_empty() { "" } else { " " };
        if room <= space.len() {
            break;
        }
        let visible: String = word.chars().filter(|c| !is_invisible(*c)).collect();
        if !visible.is_empty() {
            line.push_str(space);
            let end = visible.floor_char_boundary(room - space.len());
            line.push_str(visible.get(..end).unwrap_or_default());
        }
    }
    (!line.is_empty()).then_some(line)
}

/// Control characters, and those that change the direction or the width of the text around them.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(payload: &str) -> Element {
        let iq = format!(
            "<iq type='result' from='local.example' to='xfed-probe.xmpp.local.example' id='v1'>{payload}</iq>"
        );
        Element::parse(iq.as_bytes()).unwrap()
    }

    fn versioned(name: &str, version: &str) -> Option<Software> {
        super::version(&answer(&format!(
            "<query xmlns='jabber:iq:version'><name>{name}</name><version>{version}</version><os>Linux</os></query>"
        )))
    }

    #[test]
    fn xep0092_2_name_and_version_are_read_and_the_operating_system_is_not() {
        let software = versioned("Prosody", "0.12.3").unwrap();
        let expected = Software { name: "Prosody".to_owned(), version: Some("0.12.3".to_owned()) };
        assert_eq!(software, expected);
        assert_eq!(versioned("Prosody", "").unwrap().version, None);
        assert_eq!(versioned("", "0.12.3"), None);
        let error = "<iq type='error' from='local.example' id='v1'><query xmlns='jabber:iq:version'><name>x</name></query></iq>";
        assert_eq!(super::version(&Element::parse(error.as_bytes()).unwrap()), None);
    }

    #[test]
    fn what_a_server_reports_becomes_one_short_visible_line() {
        let name = |name: &str| versioned(name, "1").map(|software| software.name);
        assert_eq!(name("  a\n\tb &#x7f; c\u{202e}d\u{200b} ").as_deref(), Some("a b cd"));
        assert_eq!(name(" \u{200b} "), None);
        let long = name(&"é".repeat(200)).unwrap();
        assert_eq!(long, "é".repeat(MAX_TEXT / 2));
        let words = name(&"word ".repeat(200)).unwrap();
        assert!(words.len() <= MAX_TEXT && words.ends_with("word"), "{words:?}");
        let huge = format!(
            "<query xmlns='jabber:iq:version'><name>x</name><y>{}</y></query>",
            "z".repeat(MAX_ANSWER)
        );
        assert_eq!(super::version(&answer(&huge)), None);
        let many = format!(
            "<query xmlns='jabber:iq:version'><name>x</name>{}</query>",
            "<y/>".repeat(5_000)
        );
        assert_eq!(super::version(&answer(&many)), None);
    }

    #[test]
    fn xep0030_3_1_the_name_of_the_servers_identity_is_read() {
        let identity = |identities: &str| {
            identity(&answer(&format!(
                "<query xmlns='http://jabber.org/protocol/disco#info'>{identities}<feature var='x'/></query>"
            )))
        };
        let server = "<identity category='pubsub' type='pep' name='no'/><identity category='server' type='im'/><identity category='server' type='im' name='ejabberd'/>";
        let expected = Software { name: "ejabberd".to_owned(), version: None };
        assert_eq!(identity(server), Some(expected));
        assert_eq!(identity("<identity category='conference' type='text' name='Rooms'/>"), None);
    }
}
