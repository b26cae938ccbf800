//! The conversation that verifies a federation in Cisco's document 116339. One person adds the other, both see each
//! other's presence, and they chat; then the same in the other direction.

use std::time::Duration;

use crate::client::{Client, Event};
use crate::error::{Error, Result};
use crate::person::Person;

/// Maximum time for one step. The first step includes DNS, TLS and authentication between the servers, in both
/// directions.
const STEP: Duration = Duration::from_mins(2);

/// Both directions, between people who are not yet contacts of each other: first `one` adds `other`, then `other` adds
/// `one`. `narrate` receives one line for each observed step.
pub fn both_directions(
    one: &mut Client,
    other: &mut Client,
    narrate: &mut dyn FnMut(&str),
) -> Result<()> {
    meet_and_chat(one, other, narrate)?;
    forget(one, other)?;
    meet_and_chat(other, one, narrate)
}

/// `one` adds `other`, then `other` adds `one`; presence and messages pass in both directions.
pub fn meet_and_chat(
    one: &mut Client,
    other: &mut Client,
    narrate: &mut dyn FnMut(&str),
) -> Result<()> {
    add(one, other, narrate)?;
    add(other, one, narrate)?;
    for client in [&mut *one, &mut *other] {
        let contacts = client.roster()?;
        let mutual = contacts.values().any(|subscription| subscription == "both");
        if !mutual {
            let who = client.person.address();
            return Err(Error::State(format!("{who} has no mutual contact: {contacts:?}")));
        }
    }
    presence(one, other, "away", "out for lunch", narrate)?;
    presence(other, one, "dnd", "in a meeting", narrate)?;
    say(one, other, "Hello! Does this reach you?", narrate)?;
    say(other, one, "It does, and this is my answer. Grüße!", narrate)
}

/// `who` adds `whom`, and `whom` approves; then `who` sees that `whom` is available.
pub fn add(who: &mut Client, whom: &mut Client, narrate: &mut dyn FnMut(&str)) -> Result<()> {
    let (asking, asked) = (who.person.address(), whom.person.address());
    who.subscribe(&whom.person.clone())?;
    whom.expect(
        &format!("to be asked by {asking}"),
        STEP,
        |event| matches!(event, Event::Subscribe { from } if *from == asking),
    )?;
    narrate(&format!("{asking} adds {asked} to the contacts"));
    whom.approve(&who.person.clone())?;
    approved_and_seen(who, &asked)?;
    narrate(&format!("{asked} approves"));
    narrate(&format!("{asking} sees that {asked} is there"));
    Ok(())
}

/// `who` adds a bot, which approves by itself and is there.
pub fn befriend(who: &mut Client, bot: &Person, narrate: &mut dyn FnMut(&str)) -> Result<()> {
    let (asking, asked) = (who.person.address(), bot.address());
    who.subscribe(bot)?;
    approved_and_seen(who, &asked)?;
    narrate(&format!("{asking} adds {asked}, which approves and is there"));
    Ok(())
}

/// `who` sends a message to a bot, which repeats it.
pub fn hear_the_echo(
    who: &mut Client,
    bot: &Person,
    body: &str,
    narrate: &mut dyn FnMut(&str),
) -> Result<()> {
    let address = bot.address();
    who.message(bot, body)?;
    who.expect(
        &format!("the echo of {body:?}"),
        STEP,
        |event| matches!(event, Event::Message { from, body: echo, .. } if *from == address && echo == body),
    )?;
    narrate(&format!("{} → {address} → {0}: {body}", who.person.address()));
    Ok(())
}

/// Waits for both in either order: jabberd2 sends the first presence before the approval, unlike RFC 6121 section 3.1.5.
fn approved_and_seen(who: &mut Client, asked: &str) -> Result<()> {
    let (mut approved, mut seen) = (false, false);
    let is_both = |event: &Event| {
        match event {
            Event::Subscribed { from } => approved |= *from == asked,
            Event::Presence { from, show, .. } => seen |= *from == asked && show != "unavailable",
            _ => {}
        }
        approved && seen
    };
    who.expect(&format!("to be approved by {asked} and to see them"), STEP, is_both).map(drop)
}

/// `who` changes presence, and `whom` sees it.
pub fn presence(
    who: &mut Client,
    whom: &mut Client,
    show: &str,
    status: &str,
    narrate: &mut dyn FnMut(&str),
) -> Result<()> {
    let address = who.person.address();
    who.show(show, status)?;
    let wanted =
        Event::Presence { from: address.clone(), show: show.into(), status: status.into() };
    whom.expect(&format!("to see {address} {show}"), STEP, |event| *event == wanted)?;
    narrate(&format!("{} sees {address}: {show}, \"{status}\"", whom.person.address()));
    Ok(())
}

/// `who` sends a message to `whom`, and it arrives unchanged.
pub fn say(
    who: &mut Client,
    whom: &mut Client,
    body: &str,
    narrate: &mut dyn FnMut(&str),
) -> Result<()> {
    let from = who.person.address();
    let id = who.message(&whom.person.clone(), body)?;
    let wanted = Event::Message { from: from.clone(), body: body.into(), id };
    whom.expect(&format!("the message {body:?}"), STEP, |event| *event == wanted)?;
    narrate(&format!("{from} → {}: {body}", whom.person.address()));
    Ok(())
}

/// Removes each of them from the other's contacts, so that a conversation can start again.
pub fn forget(one: &mut Client, other: &mut Client) -> Result<()> {
    remove(one, other)?;
    remove(other, one)
}

/// `who` removes `whom` from the contacts. The message after it shows that the end of the subscriptions has arrived:
/// stanzas between two people stay in order (RFC 6120 section 10.1). An end that overtakes a new request would cancel
/// that request.
fn remove(who: &mut Client, whom: &mut Client) -> Result<()> {
    who.remove(&whom.person.clone())?;
    say(who, whom, "I have taken you off my contacts.", &mut |_| ())
}
