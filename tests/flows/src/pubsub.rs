//! A node of a publish-subscribe service, with a subscriber on the other side (XEP-0060).

use s2s_peer::namespace::CLIENT;
use s2s_peer::stream;

use crate::client::Client;
use crate::error::{FlowError, Result, same, same_content};
use crate::flow::{Flow, Outcome};
use crate::people::available;
use crate::room::same_error;
use crate::side::Side;

/// The flows.
pub const FLOWS: &[Flow] = &[Flow { name: "pubsub: subscribe, item, unsubscribe", run: subscribe }];

/// The feature of a service, and the namespace of its requests.
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Requests of a node's owner.
const OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// Notifications.
const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// An item with an attribute and characters that XML escapes.
const ITEM: &str =
    "<entry xmlns='http://www.w3.org/2005/Atom' lang='de'><title>Grüße &amp; 💌</title></entry>";

/// The owner creates a node, someone from the other side subscribes, an item arrives unchanged, and after the end of the
/// subscription no more come.
fn subscribe(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    const NODE: &str = "news";
    let mut items = home.features.items.iter();
    let Some((service, _)) = items.find(|(_, info)| info.is("pubsub", "service")) else {
        return Ok(home.lacks(PUBSUB));
    };
    let service = service.clone();
    let mut owner = available(home, "publisher")?;
    let mut subscriber = available(visitors, "subscriber")?;
    let bare = subscriber.bare().to_owned();
    let done = |client: &mut Client, payload: &str| {
        let answer = client.request(&service, "set", payload)?;
        let result = answer.attribute("type") == Some("result");
        if result { Ok(answer) } else { Err(FlowError::differs(payload, &"result", &answer)) }
    };
    done(&mut owner, &format!("<pubsub xmlns='{PUBSUB}'><create node='{NODE}'/></pubsub>"))?;
    let answer = done(
        &mut subscriber,
        &format!("<pubsub xmlns='{PUBSUB}'><subscribe node='{NODE}' jid='{bare}'/></pubsub>"),
    )?;
    let subscription =
        answer.child(PUBSUB, "pubsub").and_then(|pubsub| pubsub.child(PUBSUB, "subscription"));
    let state = subscription.and_then(|one| one.attribute("subscription"));
    same("the subscription", &Some("subscribed"), &state)?;
    let publish = |id: &str| {
        format!(
            "<pubsub xmlns='{PUBSUB}'><publish node='{NODE}'><item id='{id}'>{ITEM}</item></publish></pubsub>"
        )
    };
    done(&mut owner, &publish("one"))?;
    let event = subscriber.expect("the notification of an item", |stanza| {
        stanza.is(CLIENT, "message") && stanza.attribute("from") == Some(&service)
    })?;
    let items = event.child(EVENT, "event").and_then(|event| event.child(EVENT, "items"));
    let items = items.ok_or_else(|| FlowError::differs("a notification", &"items", &event))?;
    same("the node", &Some(NODE), &items.attribute("node"))?;
    let [item] = items.children.as_slice() else {
        return Err(FlowError::differs("the items", &"one", &event));
    };
    same("the id of the item", &Some("one"), &item.attribute("id"))?;
    same_content("the item", &[stream::parse(ITEM)?], &item.children)?;

    done(
        &mut subscriber,
        &format!("<pubsub xmlns='{PUBSUB}'><unsubscribe node='{NODE}' jid='{bare}'/></pubsub>"),
    )?;
    done(&mut owner, &publish("two"))?;
    done(&mut owner, &format!("<pubsub xmlns='{OWNER}'><delete node='{NODE}'/></pubsub>"))?;
    // Owner and subscriber get the same answer about the deleted node, and no item came before that answer.
    let query = format!("<pubsub xmlns='{PUBSUB}'><items node='{NODE}'/></pubsub>");
    let at_owner = owner.request(&service, "get", &query)?;
    let at_subscriber = subscriber.request(&service, "get", &query)?;
    same_error(&at_owner, &at_subscriber)?;
    let late = subscriber.unexpected(|stanza| stanza.attribute("from") == Some(&service));
    same("notifications after the end of the subscription", &0, &late)?;
    Ok(Outcome::Passed)
}
