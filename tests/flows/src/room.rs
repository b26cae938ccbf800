//! A room, as its occupants see it (XEP-0045). Each function expects the next stanza of the room, so a stanza too many fails
//! a flow like a stanza too few.

use std::collections::BTreeSet;

use s2s_peer::element::Element;
use s2s_peer::namespace::{CLIENT, STANZA_ERRORS};

use crate::client::Client;
use crate::error::{FlowError, Result, same, same_content};

/// The feature of a room service, and the namespace of a request to enter a room.
pub(crate) const MUC: &str = "http://jabber.org/protocol/muc";
/// What a room says about an occupant.
pub(crate) const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Requests of an administrator of a room.
pub(crate) const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Requests of an owner of a room.
pub(crate) const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// When a stanza was sent (XEP-0203).
pub(crate) const DELAY: &str = "urn:xmpp:delay";

/// A presence of an occupant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presence {
    /// The name in the room.
    pub nick: String,
    /// Whether the occupant is in the room.
    pub available: bool,
    /// The affiliation, such as `owner`.
    pub affiliation: String,
    /// The role, such as `participant`.
    pub role: String,
    /// The status codes (XEP-0045 §15.6).
    pub codes: BTreeSet<String>,
    /// The stanza.
    pub stanza: Element,
}

impl Presence {
    fn of(stanza: Element) -> Result<Self> {
        let kind = stanza.attribute("type");
        let user = stanza.child(MUC_USER, "x");
        let (Some(user), None | Some("unavailable")) = (user, kind) else {
            return Err(FlowError::differs("a presence of an occupant", &MUC_USER, &stanza));
        };
        let item = |name: &str| {
            let item = user.child(MUC_USER, "item");
            item.and_then(|item| item.attribute(name)).unwrap_or_default().to_owned()
        };
        let codes = user.children.iter().filter(|child| child.is(MUC_USER, "status"));
        Ok(Self {
            nick: resource(&stanza).to_owned(),
            available: kind.is_none(),
            affiliation: item("affiliation"),
            role: item("role"),
            codes: codes.filter_map(|code| code.attribute("code")).map(str::to_owned).collect(),
            stanza,
        })
    }

    /// Whether it has that status code.
    pub(crate) fn has(&self, code: &str) -> bool {
        self.codes.contains(code)
    }

    /// What the room says about the occupant.
    pub(crate) fn item(&self) -> Option<&Element> {
        self.stanza.child(MUC_USER, "x")?.child(MUC_USER, "item")
    }

    /// The reason that a moderator or an administrator has given.
    pub(crate) fn reason(&self) -> Option<&str> {
        Some(self.item()?.child(MUC_USER, "reason")?.text.as_str())
    }
}

/// What a room sends to a new occupant, in this order (XEP-0045 §7.1).
#[derive(Debug)]
pub(crate) struct Entry {
    /// The presences of the others.
    pub others: Vec<Presence>,
    /// The own presence.
    pub own: Presence,
    /// The messages of the past.
    pub history: Vec<Element>,
    /// The subject.
    pub subject: Element,
}

/// The next stanza of the room or of its occupants, besides requests and the presence with which ejabberd announces the
/// capabilities of a room.
pub(crate) fn next(client: &mut Client, room: &str, what: &str) -> Result<Element> {
    client.expect(what, |stanza| {
        let capabilities = stanza.is(CLIENT, "presence") && resource(stanza).is_empty();
        bare(stanza) == room && !stanza.is(CLIENT, "iq") && !capabilities
    })
}

/// The next stanza of the room, which must be the presence of that occupant.
pub(crate) fn presence(client: &mut Client, room: &str, nick: &str) -> Result<Presence> {
    let what = format!("the presence of {nick}");
    let presence = Presence::of(next(client, room, &what)?)?;
    if presence.nick != nick {
        return Err(FlowError::differs(&what, &nick, &presence.stanza));
    }
    Ok(presence)
}

/// The next stanza of the room, which must be a message of that type from that occupant, or from the room if `nick` is
/// empty.
pub(crate) fn message(client: &mut Client, room: &str, kind: &str, nick: &str) -> Result<Element> {
    let what = format!("a message of type {kind} of {nick:?}");
    let message = next(client, room, &what)?;
    let is = message.is(CLIENT, "message")
        && message.attribute("type") == Some(kind)
        && resource(&message) == nick;
    if is { Ok(message) } else { Err(FlowError::differs(&what, &nick, &message)) }
}

/// Asks to enter the room.
pub(crate) fn ask(client: &mut Client, room: &str, nick: &str) -> Result<()> {
    client.send(&format!("<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>"))
}

/// Enters the room.
pub(crate) fn enter(client: &mut Client, room: &str, nick: &str) -> Result<Entry> {
    ask(client, room, nick)?;
    let mut others = Vec::new();
    let own = loop {
        let presence = Presence::of(next(client, room, "the own presence in a room")?)?;
        if presence.has("110") {
            break presence;
        }
        others.push(presence);
    };
    same("the own nick", &nick, &own.nick.as_str())?;
    let mut history = Vec::new();
    loop {
        let message = next(client, room, "the subject of the room")?;
        same("the type of a message of the room", &Some("groupchat"), &message.attribute("type"))?;
        let subject = message.child(CLIENT, "subject").is_some();
        if subject && message.child(CLIENT, "body").is_none() {
            return Ok(Entry { others, own, history, subject: message });
        }
        history.push(message);
    }
}

/// Makes the room and opens it with the settings of the service (XEP-0045 §10.1.2), or with those fields.
pub(crate) fn make(client: &mut Client, room: &str, nick: &str, fields: &str) -> Result<Entry> {
    let entry = enter(client, room, nick)?;
    same("a new room", &true, &entry.own.has("201"))?;
    same("the affiliation of its maker", &"owner", &entry.own.affiliation.as_str())?;
    configure(client, room, fields)?;
    Ok(entry)
}

/// Sets fields of the room's configuration.
pub(crate) fn configure(client: &mut Client, room: &str, fields: &str) -> Result<()> {
    let form =
        "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>";
    let fields = if fields.is_empty() { String::new() } else { format!("{form}{fields}") };
    let x = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    done(client, room, &format!("<query xmlns='{MUC_OWNER}'>{x}</query>"))
}

/// Sends a request to the room that must succeed.
pub(crate) fn done(client: &mut Client, room: &str, payload: &str) -> Result<()> {
    let answer = client.request(room, "set", payload)?;
    if answer.attribute("type") == Some("result") {
        return Ok(());
    }
    Err(FlowError::differs(&format!("the answer to {payload}"), &"result", &answer))
}

/// Says something to all; returns the id.
pub(crate) fn say(client: &mut Client, room: &str, body: &str) -> Result<String> {
    let id = client.next_id("say");
    let body = format!("<body>{body}</body>");
    client.send(&format!("<message type='groupchat' id='{id}' to='{room}'>{body}</message>"))?;
    Ok(id)
}

/// Changes the role or the affiliation of someone: `attributes` are those of the item.
pub(crate) fn decide(client: &mut Client, room: &str, item: &str, reason: &str) -> Result<()> {
    let item = format!("<item {item}><reason>{reason}</reason></item>");
    done(client, room, &format!("<query xmlns='{MUC_ADMIN}'>{item}</query>"))
}

/// Checks that two occupants received the same stanza: each its own copy, with the same content.
pub(crate) fn alike(what: &str, one: &Element, other: &Element) -> Result<()> {
    for name in ["from", "id", "type"] {
        same(&format!("{name} of {what}"), &one.attribute(name), &other.attribute(name))?;
    }
    same_content(what, &one.children, &other.children)
}

/// The text of a child, such as the body.
pub(crate) fn text<'a>(stanza: &'a Element, name: &str) -> Option<&'a str> {
    stanza.child(CLIENT, name).map(|child| child.text.as_str())
}

/// The bare address of the sender.
pub(crate) fn bare(stanza: &Element) -> &str {
    stanza.attribute("from").unwrap_or_default().split('/').next().unwrap_or_default()
}

/// The resource of the sender.
pub(crate) fn resource(stanza: &Element) -> &str {
    let from = stanza.attribute("from").unwrap_or_default();
    from.split_once('/').map_or("", |(_, resource)| resource)
}

/// Checks that two people received the same error.
pub(crate) fn same_error(one: &Element, other: &Element) -> Result<()> {
    let error = |stanza: &Element| {
        let error = stanza.child(CLIENT, "error").cloned();
        error.ok_or_else(|| FlowError::differs("the answer", &"an error", stanza))
    };
    let (first, second) = (error(one)?, error(other)?);
    same("from", &one.attribute("from"), &other.attribute("from"))?;
    same_content("the error", &[first], &[second])
}

/// Checks the condition of an error.
pub(crate) fn condition(stanza: &Element, expected: &str) -> Result<()> {
    let error = stanza.child(CLIENT, "error");
    let condition = error
        .and_then(|error| error.children.iter().find(|child| child.namespace == STANZA_ERRORS));
    match condition {
        Some(condition) if condition.name == expected => Ok(()),
        _ => Err(FlowError::differs("the condition", &expected, stanza)),
    }
}
