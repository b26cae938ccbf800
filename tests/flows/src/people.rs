//! What people do in many flows.

use s2s_peer::element::Element;
use s2s_peer::namespace::CLIENT;
use s2s_peer::stream;

use crate::client::Client;
use crate::error::{FlowError, Result};
use crate::side::Side;

/// Namespace of the roster.
pub const ROSTER: &str = "jabber:iq:roster";
/// Namespace of the conditions of stanza errors.
pub const CONDITIONS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Children that servers add to a presence by themselves: the hash of the vCard's photo (XEP-0153), a stamp (XEP-0203), the
/// time of inactivity (XEP-0319).
const ADDED: [(&str, &str); 3] =
    [("vcard-temp:x:update", "x"), ("urn:xmpp:delay", "delay"), ("urn:xmpp:idle:1", "idle")];

/// The one who acts and the one who responds, both available. Their accounts have different names, so that the flow finds
/// fresh ones when the sides are exchanged.
pub fn meet(one: &mut Side, other: &mut Side, flow: &str) -> Result<(Client, Client)> {
    Ok((available(one, &acting(flow))?, available(other, &responding(flow))?))
}

/// The name of the account that acts in a flow.
pub fn acting(flow: &str) -> String {
    format!("{flow}.one")
}

/// The name of the account that responds in a flow.
pub fn responding(flow: &str) -> String {
    format!("{flow}.other")
}

/// A person who has sent initial presence.
pub fn available(side: &mut Side, user: &str) -> Result<Client> {
    let mut client = side.log_in(user, "desk")?;
    appear(&mut client)?;
    Ok(client)
}

/// Sends initial presence, and waits until the server has processed it: it processes stanzas in order (RFC 6120 §10.1).
pub fn appear(client: &mut Client) -> Result<()> {
    client.send("<presence/>")?;
    settle(client)
}

/// Waits until the client's server has processed all earlier stanzas of that client.
pub fn settle(client: &mut Client) -> Result<()> {
    client.request("", "get", &format!("<query xmlns='{ROSTER}'/>")).map(drop)
}

/// A presence of that type from that address, or from a resource of that bare address.
pub fn is_presence(stanza: &Element, from: &str, kind: Option<&str>) -> bool {
    stanza.is(CLIENT, "presence") && stanza.attribute("type") == kind && is_from(stanza, from)
}

/// Whether a stanza is from that address, or from a resource of that bare address.
pub fn is_from(stanza: &Element, address: &str) -> bool {
    let from = stanza.attribute("from").unwrap_or_default();
    from == address || is_resource_of(from, address)
}

/// Whether an address is a resource of that bare address.
fn is_resource_of(address: &str, bare: &str) -> bool {
    address.strip_prefix(bare).is_some_and(|rest| rest.starts_with('/'))
}

/// Waits for a presence.
pub fn expect_presence(at: &mut Client, from: &str, kind: Option<&str>) -> Result<Element> {
    let what = format!("presence {} from {from}", kind.unwrap_or("(available)"));
    at.expect(&what, |stanza| is_presence(stanza, from, kind))
}

/// Sends a presence of that type to a bare address.
pub fn send_presence(from: &mut Client, to: &str, kind: &str) -> Result<()> {
    let id = from.next_id("p");
    from.send(&format!("<presence type='{kind}' id='{id}' to='{to}'/>"))
}

/// Waits until the own server reports that contact with that subscription.
pub fn expect_push(at: &mut Client, contact: &str, subscription: &str) -> Result<Element> {
    at.expect(&format!("a roster push of {contact} with subscription {subscription}"), |stanza| {
        stanza.attribute("type") == Some("set")
            && stanza.child(ROSTER, "query").is_some_and(|query| {
                query.children.iter().any(|item| {
                    item.attribute("jid") == Some(contact)
                        && item.attribute("subscription") == Some(subscription)
                })
            })
    })
}

/// The subscription to a contact, as the own server has it; `None` without such a contact.
pub fn subscription(of: &mut Client, contact: &str) -> Result<Option<String>> {
    let roster = of.request("", "get", &format!("<query xmlns='{ROSTER}'/>"))?;
    let items = roster.child(ROSTER, "query").map(|query| query.children.clone());
    let item = items.into_iter().flatten().find(|item| item.attribute("jid") == Some(contact));
    Ok(item.and_then(|item| item.attribute("subscription").map(str::to_owned)))
}

/// One subscribes to the presence of the other, who approves and is seen.
pub fn subscribe(one: &mut Client, other: &mut Client) -> Result<()> {
    let (from, to) = (one.bare().to_owned(), other.bare().to_owned());
    send_presence(one, &to, "subscribe")?;
    expect_presence(other, &from, Some("subscribe"))?;
    send_presence(other, &from, "subscribed")?;
    expect_presence(one, &to, Some("subscribed"))?;
    let address = other.address().to_owned();
    expect_presence(one, &address, None).map(drop)
}

/// Both see each other.
pub fn befriend(one: &mut Client, other: &mut Client) -> Result<()> {
    subscribe(one, other)?;
    subscribe(other, one)?;
    // Servers repeat presence while subscriptions change. None of it may be taken for a later one.
    one.fence(other)?;
    other.fence(one)?;
    Ok(())
}

/// Sends a stanza with those children to an address and waits for it there, with the same children.
pub fn arrives(
    from: &mut Client,
    at: &mut Client,
    name: &str,
    attributes: &str,
    children: &str,
) -> Result<Element> {
    let (id, to) = (from.next_id(name), at.address().to_owned());
    from.send(&format!("<{name} id='{id}' to='{to}' {attributes}>{children}</{name}>"))?;
    let sender = from.address().to_owned();
    let stanza = at.expect(&format!("the {name} {id} of {sender}"), |stanza| {
        stanza.name == name && stanza.attribute("id") == Some(&id)
    })?;
    unchanged(&stanza, &sender, &to, children)?;
    Ok(stanza)
}

/// Checks addresses and children of a stanza.
pub fn unchanged(stanza: &Element, from: &str, to: &str, children: &str) -> Result<()> {
    for (name, expected) in [("from", from), ("to", to)] {
        let seen = stanza.attribute(name).unwrap_or_default();
        // Some servers address a client where the stanza was for its account.
        if seen != expected && !(name == "to" && is_resource_of(seen, expected)) {
            return Err(FlowError::differs(&format!("{name} of {stanza}"), &expected, &seen));
        }
    }
    let sent = stream::parse(&format!("<sent xmlns='{CLIENT}'>{children}</sent>"))?;
    let added = |child: &&Element| {
        !ADDED.iter().any(|(namespace, name)| child.is(namespace, name))
            || sent.children.iter().any(|own| own.is(&child.namespace, &child.name))
    };
    let seen: Vec<Element> = stanza.children.iter().filter(added).cloned().collect();
    crate::error::same_content(&format!("the children of {}", stanza.name), &sent.children, &seen)
}

/// Waits for the error to a stanza, and returns its condition.
pub fn expect_error(at: &mut Client, id: &str) -> Result<String> {
    let error = at.expect(&format!("an error for {id}"), |stanza| {
        stanza.attribute("id") == Some(id) && stanza.attribute("type") == Some("error")
    })?;
    condition(&error).ok_or_else(|| FlowError::differs("an error", &"a condition", &error))
}

/// The condition of an error (RFC 6120 §8.3.3).
pub fn condition(error: &Element) -> Option<String> {
    let found = error.child(CLIENT, "error")?;
    let condition = found.children.iter().find(|child| child.namespace == CONDITIONS);
    condition.map(|condition| condition.name.clone())
}

/// Checks that a request was answered by a result, and returns its payload.
pub fn payload(answer: &Element, namespace: &str, name: &str) -> Result<Element> {
    let found =
        answer.child(namespace, name).filter(|_| answer.attribute("type") == Some("result"));
    let expected = format!("a result with {name} of {namespace}");
    found.cloned().ok_or_else(|| FlowError::differs("an answer", &expected, answer))
}
