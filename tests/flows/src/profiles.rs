//! What people and servers say about themselves: vCards, avatars, service discovery, software.

use s2s_peer::element::Element;
use s2s_peer::stream::parse;

use crate::client::Client;
use crate::error::{FlowError, Result, same, same_content};
use crate::features::{DISCO_INFO, DISCO_ITEMS, Info};
use crate::flow::{Flow, Outcome};
use crate::people::{befriend, condition, expect_presence, is_from, meet, payload};
use crate::side::Side;

/// The flows. The second side publishes, the first one asks.
pub const FLOWS: &[Flow] = &[
    Flow { name: "a vCard (XEP-0054)", run: vcard },
    Flow { name: "a vCard 4 in PEP (XEP-0292)", run: vcard4 },
    Flow { name: "an avatar in PEP with notifications (XEP-0084)", run: avatar },
    Flow { name: "service discovery of a server and its items", run: discovery },
    Flow { name: "service discovery and ping of a client", run: client_discovery },
    Flow { name: "software version of a server (XEP-0092)", run: server_version },
    Flow { name: "time of a server (XEP-0202)", run: server_time },
    Flow { name: "time since the start of a server (XEP-0012)", run: server_uptime },
    Flow { name: "ping of a server (XEP-0199)", run: server_ping },
    Flow { name: "version and last activity of a client", run: client_facts },
];

/// Attempts to publish an item.
const ATTEMPTS: usize = 5;
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PUBLISH: &str = "http://jabber.org/protocol/pubsub#publish";
const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
const VCARD: &str = "vcard-temp";
const VERSION: &str = "jabber:iq:version";
const TIME: &str = "urn:xmpp:time";
const LAST: &str = "jabber:iq:last";
const PING: &str = "urn:xmpp:ping";

fn vcard(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    if let Some(missing) = other.missing(&[VCARD]) {
        return Ok(missing);
    }
    let (mut juliet, mut romeo) = meet(one, other, "profiles.vcard")?;
    let card = format!(
        "<vCard xmlns='{VCARD}'><FN>Rom\u{e9}o \u{1F339}</FN><N><FAMILY>Montague</FAMILY></N><NICKNAME>a &lt; b &amp; c</NICKNAME></vCard>"
    );
    let answer = romeo.request("", "set", &card)?;
    same("the answer to a vCard", &Some("result"), &answer.attribute("type"))?;
    let to = romeo.bare().to_owned();
    let answer = juliet.request(&to, "get", &format!("<vCard xmlns='{VCARD}'/>"))?;
    same("its sender", &Some(to.as_str()), &answer.attribute("from"))?;
    let seen = payload(&answer, VCARD, "vCard")?;
    let text = |name: &str| seen.child(VCARD, name).map(|child| child.text.clone());
    same("FN", &Some("Rom\u{e9}o \u{1F339}".to_owned()), &text("FN"))?;
    same("NICKNAME", &Some("a < b & c".to_owned()), &text("NICKNAME"))?;
    Ok(Outcome::Passed)
}

/// Publishes an item to a node of the own account. ejabberd 23.01 sometimes does not find the node that it should make,
/// while it makes nodes of others.
fn publish(at: &mut Client, node: &str, item: &str, payload: &str) -> Result<()> {
    let request = format!(
        "<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{item}'>{payload}</item></publish></pubsub>"
    );
    let mut answer = at.request("", "set", &request)?;
    for _ in 1..ATTEMPTS {
        match condition(&answer).as_deref() {
            None => return Ok(()),
            Some("item-not-found") => answer = at.request("", "set", &request)?,
            Some(_) => break,
        }
    }
    if answer.attribute("type") == Some("result") {
        return Ok(());
    }
    Err(FlowError::differs(&format!("a publication to {node}"), &"a result", &answer))
}

/// The payload of an item of a contact's node.
fn item(at: &mut Client, of: &str, node: &str, item: &str) -> Result<Element> {
    let answer = at.request(
        of,
        "get",
        &format!(
            "<pubsub xmlns='{PUBSUB}'><items node='{node}'><item id='{item}'/></items></pubsub>"
        ),
    )?;
    let items = payload(&answer, PUBSUB, "pubsub")?;
    let found = items.child(PUBSUB, "items").and_then(|items| {
        let own = items.children.iter().find(|one| one.attribute("id") == Some(item))?;
        own.children.first().cloned()
    });
    found.ok_or_else(|| FlowError::differs("an item", &item, &answer))
}

fn vcard4(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    if let Some(missing) = other.missing(&[PUBLISH]) {
        return Ok(missing);
    }
    let (mut juliet, mut romeo) = meet(one, other, "profiles.vcard4")?;
    befriend(&mut juliet, &mut romeo)?;
    let card = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Rom\u{e9}o &amp; \u{1F339}</text></fn></vcard>";
    publish(&mut romeo, "urn:xmpp:vcard4", "current", card)?;
    let seen = item(&mut juliet, romeo.bare(), "urn:xmpp:vcard4", "current")?;
    same_content("the vCard", &[parse(card)?], &[seen])?;
    Ok(Outcome::Passed)
}

fn avatar(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    const DATA: &str = "urn:xmpp:avatar:data";
    const METADATA: &str = "urn:xmpp:avatar:metadata";
    if let Some(missing) = other.missing(&[PUBLISH]) {
        return Ok(missing);
    }
    let (mut juliet, mut romeo) = meet(one, other, "profiles.avatar")?;
    befriend(&mut juliet, &mut romeo)?;
    // With the capabilities of her library, which wants to be notified of avatars. His server asks her client what they
    // mean, unless it knows; if it learns that after the publication, it notifies her then (XEP-0163 §4.3).
    let address = juliet.address().to_owned();
    juliet.present()?;
    expect_presence(&mut romeo, &address, None)?;
    let id = "111f4b3c50d7b0df729d299bc6f8e9ef9066971f";
    let data = format!("<data xmlns='{DATA}'>{}</data>", "qANQR1DBwU4DX7jmYZnncm".repeat(400));
    let metadata = format!(
        "<metadata xmlns='{METADATA}'><info bytes='6600' id='{id}' type='image/png' width='64' height='64'/></metadata>"
    );
    publish(&mut romeo, DATA, id, &data)?;
    publish(&mut romeo, METADATA, id, &metadata)?;
    let from = romeo.bare().to_owned();
    let note = juliet.expect("a notification of an avatar", |stanza| {
        is_from(stanza, &from)
            && stanza
                .child(EVENT, "event")
                .and_then(|event| event.child(EVENT, "items"))
                .is_some_and(|items| items.attribute("node") == Some(METADATA))
    })?;
    let info = note
        .child(EVENT, "event")
        .and_then(|event| event.child(EVENT, "items"))
        .and_then(|items| items.child(EVENT, "item"))
        .and_then(|item| item.child(METADATA, "metadata"));
    let seen: Vec<Element> = info.cloned().into_iter().collect();
    same_content("the metadata", &[parse(&metadata)?], &seen)?;
    let seen = item(&mut juliet, &from, DATA, id)?;
    same_content("the data", &[parse(&data)?], &[seen])?;
    Ok(Outcome::Passed)
}

/// An answer to disco#info over the federation.
fn info(at: &mut Client, to: &str) -> Result<Info> {
    let answer = at.request(to, "get", &format!("<query xmlns='{DISCO_INFO}'/>"))?;
    Ok(Info::of(&payload(&answer, DISCO_INFO, "query")?))
}

fn discovery(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let mut juliet = crate::people::available(one, "profiles.discovery")?;
    // What its own user sees, without what it tells only to its own users.
    let seen = info(&mut juliet, &other.domain)?;
    same("the identities", &other.features.domain.identities, &seen.identities)?;
    let strange: Vec<_> = seen.features.difference(&other.features.domain.features).collect();
    same("features that its own user does not see", &Vec::new(), &strange)?;
    let answer =
        juliet.request(&other.domain, "get", &format!("<query xmlns='{DISCO_ITEMS}'/>"))?;
    let items = payload(&answer, DISCO_ITEMS, "query")?;
    let known = &other.features.items;
    for name in items.children.iter().filter_map(|item| item.attribute("jid")) {
        let Some(own) = known.get(name) else { continue };
        let seen = info(&mut juliet, name)?;
        same(&format!("the identities of {name}"), &own.identities, &seen.identities)?;
    }
    Ok(Outcome::Passed)
}

fn client_discovery(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "profiles.client")?;
    befriend(&mut juliet, &mut romeo)?;
    let to = romeo.address().to_owned();
    let seen = info(&mut juliet, &to)?;
    for feature in [DISCO_INFO, PING, "urn:xmpp:avatar:metadata+notify"] {
        same(&format!("the feature {feature}"), &true, &seen.has(feature))?;
    }
    ping(&mut juliet, &to)?;
    Ok(Outcome::Passed)
}

/// Asks a server that announces the feature.
fn ask(
    (one, other): (&mut Side, &Side),
    feature: &'static str,
    question: fn(&mut Client, &str) -> Result<()>,
) -> Result<Outcome> {
    if let Some(missing) = other.missing(&[feature]) {
        return Ok(missing);
    }
    let mut juliet = one.log_in("profiles.facts", feature)?;
    question(&mut juliet, &other.domain)?;
    Ok(Outcome::Passed)
}

fn server_version(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    ask((one, other), VERSION, version)
}

fn server_time(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    ask((one, other), TIME, time)
}

fn server_uptime(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    ask((one, other), LAST, last)
}

fn server_ping(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    ask((one, other), PING, ping)
}

fn client_facts(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "profiles.software")?;
    // A client tells these only to those who see its presence.
    befriend(&mut juliet, &mut romeo)?;
    // Not its time: the library cannot read the time that it writes.
    for question in [version, last] {
        question(&mut juliet, romeo.address())?;
    }
    Ok(Outcome::Passed)
}

fn ping(at: &mut Client, to: &str) -> Result<()> {
    let answer = at.request(to, "get", &format!("<ping xmlns='{PING}'/>"))?;
    same("the answer to a ping", &Some("result"), &answer.attribute("type"))?;
    same("its sender", &Some(to), &answer.attribute("from"))
}

fn version(at: &mut Client, to: &str) -> Result<()> {
    let answer = at.request(to, "get", &format!("<query xmlns='{VERSION}'/>"))?;
    let version = payload(&answer, VERSION, "query")?;
    let name = version.child(VERSION, "name").map(|name| name.text.as_str());
    same("a name of the software", &true, &name.is_some_and(|name| !name.is_empty()))
}

fn time(at: &mut Client, to: &str) -> Result<()> {
    let answer = at.request(to, "get", &format!("<time xmlns='{TIME}'/>"))?;
    let utc = payload(&answer, TIME, "time")?.child(TIME, "utc").map(|utc| utc.text.clone());
    same("a time in UTC", &true, &utc.is_some_and(|utc| utc.ends_with('Z')))
}

fn last(at: &mut Client, to: &str) -> Result<()> {
    let answer = at.request(to, "get", &format!("<query xmlns='{LAST}'/>"))?;
    let last = payload(&answer, LAST, "query")?;
    let seconds = last.attribute("seconds").and_then(|seconds| seconds.parse::<u64>().ok());
    same("seconds of inactivity", &true, &seconds.is_some())
}
