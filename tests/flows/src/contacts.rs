//! The contact list: subscriptions in both directions, their end, and what is refused (RFC 6121 §2 and §3).

use crate::error::{FlowError, Result, same};
use crate::flow::{Flow, Outcome};
use crate::people::{
    ROSTER, acting, appear, available, befriend, expect_error, expect_presence, expect_push, meet,
    responding, send_presence, subscription,
};
use crate::side::Side;

/// The flows.
pub const FLOWS: &[Flow] = &[
    Flow { name: "add a contact, subscribe in both directions", run: subscribe_both_ways },
    Flow { name: "a subscription is denied", run: denied },
    Flow { name: "a subscription waits for a contact who is away", run: waits },
    Flow { name: "unsubscribe, and cancel a subscription", run: unsubscribe_and_cancel },
    Flow { name: "remove a contact", run: remove },
    Flow { name: "an account that does not exist", run: unknown },
    Flow { name: "what a contact's client does not know is answered", run: unsupported },
];

fn subscribe_both_ways(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "contacts.both")?;
    let (from, to) = (juliet.bare().to_owned(), romeo.bare().to_owned());
    juliet.request(
        "",
        "set",
        &format!("<query xmlns='{ROSTER}'><item jid='{to}' name='&#x5e8;&#x5d5;&#x5de;&#x5d0;&#x5d5;'><group>Friends</group></item></query>"),
    )?;
    expect_push(&mut juliet, &to, "none")?;
    send_presence(&mut juliet, &to, "subscribe")?;
    let request = expect_presence(&mut romeo, &from, Some("subscribe"))?;
    // RFC 6121 §3.1.2: the server stamps the bare address.
    same("from of a subscription", &Some(from.as_str()), &request.attribute("from"))?;
    same("to of a subscription", &Some(to.as_str()), &request.attribute("to").map(bare))?;
    send_presence(&mut romeo, &from, "subscribed")?;
    let approval = expect_presence(&mut juliet, &to, Some("subscribed"))?;
    same("from of an approval", &Some(to.as_str()), &approval.attribute("from"))?;
    expect_push(&mut juliet, &to, "to")?;
    expect_push(&mut romeo, &from, "from")?;
    let address = romeo.address().to_owned();
    expect_presence(&mut juliet, &address, None)?;

    send_presence(&mut romeo, &from, "subscribe")?;
    expect_presence(&mut juliet, &to, Some("subscribe"))?;
    send_presence(&mut juliet, &to, "subscribed")?;
    expect_presence(&mut romeo, &from, Some("subscribed"))?;
    expect_push(&mut juliet, &to, "both")?;
    expect_push(&mut romeo, &from, "both")?;
    let address = juliet.address().to_owned();
    expect_presence(&mut romeo, &address, None)?;
    same("the subscription", &Some("both".to_owned()), &subscription(&mut juliet, &to)?)?;
    same("the subscription", &Some("both".to_owned()), &subscription(&mut romeo, &from)?)?;
    Ok(Outcome::Passed)
}

fn denied(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "contacts.denied")?;
    let (from, to) = (juliet.bare().to_owned(), romeo.bare().to_owned());
    send_presence(&mut juliet, &to, "subscribe")?;
    expect_presence(&mut romeo, &from, Some("subscribe"))?;
    send_presence(&mut romeo, &from, "unsubscribed")?;
    expect_presence(&mut juliet, &to, Some("unsubscribed"))?;
    same("the subscription", &Some("none".to_owned()), &subscription(&mut juliet, &to)?)?;
    Ok(Outcome::Passed)
}

fn waits(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let mut juliet = available(one, &acting("contacts.waits"))?;
    let mut romeo = other.log_in(&responding("contacts.waits"), "desk")?;
    let (from, to) = (juliet.bare().to_owned(), romeo.bare().to_owned());
    send_presence(&mut juliet, &to, "subscribe")?;
    // RFC 6121 §3.1.3: delivered when he becomes available. The message behind it shows that it has arrived at his server.
    juliet.fence(&mut romeo)?;
    appear(&mut romeo)?;
    expect_presence(&mut romeo, &from, Some("subscribe"))?;
    send_presence(&mut romeo, &from, "subscribed")?;
    expect_presence(&mut juliet, &to, Some("subscribed"))?;
    Ok(Outcome::Passed)
}

fn unsubscribe_and_cancel(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "contacts.cancel")?;
    befriend(&mut juliet, &mut romeo)?;
    let (from, to) = (juliet.bare().to_owned(), romeo.bare().to_owned());
    send_presence(&mut juliet, &to, "unsubscribe")?;
    expect_presence(&mut romeo, &from, Some("unsubscribe"))?;
    expect_push(&mut juliet, &to, "from")?;
    expect_push(&mut romeo, &from, "to")?;
    // He still sees her, until she cancels.
    send_presence(&mut juliet, &to, "unsubscribed")?;
    expect_presence(&mut romeo, &from, Some("unsubscribed"))?;
    expect_presence(&mut romeo, &from, Some("unavailable"))?;
    expect_push(&mut juliet, &to, "none")?;
    expect_push(&mut romeo, &from, "none")?;
    Ok(Outcome::Passed)
}

fn remove(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "contacts.remove")?;
    befriend(&mut juliet, &mut romeo)?;
    let (from, to) = (juliet.bare().to_owned(), romeo.bare().to_owned());
    juliet.request(
        "",
        "set",
        &format!("<query xmlns='{ROSTER}'><item jid='{to}' subscription='remove'/></query>"),
    )?;
    // RFC 6121 §2.5.2: both subscriptions end at the other server as well.
    expect_presence(&mut romeo, &from, Some("unsubscribe"))?;
    expect_presence(&mut romeo, &from, Some("unsubscribed"))?;
    expect_presence(&mut romeo, &from, Some("unavailable"))?;
    expect_push(&mut romeo, &from, "none")?;
    same("the subscription", &None, &subscription(&mut juliet, &to)?)?;
    Ok(Outcome::Passed)
}

fn unknown(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let mut juliet = available(one, "contacts.unknown")?;
    let nobody = other.user("contacts.nobody");
    send_presence(&mut juliet, &nobody, "subscribe")?;
    let id = juliet.next_id("m");
    juliet.send(&format!(
        "<message type='chat' id='{id}' to='{nobody}'><body>Is anyone there?</body></message>"
    ))?;
    let allowed = ["service-unavailable", "item-not-found", "recipient-unavailable"];
    expect_condition(&expect_error(&mut juliet, &id)?, &allowed)?;
    let answer = juliet.request(&nobody, "get", "<query xmlns='urn:example:unknown'/>")?;
    expect_condition(&crate::people::condition(&answer).unwrap_or_default(), &allowed)?;
    // Whether a subscription is refused or left pending is up to the server, which may hide who exists (RFC 6121 §3.1.3).
    same("the subscription", &Some("none".to_owned()), &subscription(&mut juliet, &nobody)?)?;
    Ok(Outcome::Passed)
}

fn unsupported(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, romeo) = meet(one, other, "contacts.unsupported")?;
    for to in
        [romeo.address(), romeo.bare(), other.domain.as_str(), &format!("{}/nobody", romeo.bare())]
    {
        for kind in ["get", "set"] {
            let answer = juliet.request(to, kind, "<query xmlns='urn:example:unknown'/>")?;
            let seen = crate::people::condition(&answer).unwrap_or_default();
            expect_condition(&seen, &["service-unavailable", "feature-not-implemented"])?;
        }
    }
    Ok(Outcome::Passed)
}

fn bare(address: &str) -> &str {
    address.split('/').next().unwrap_or_default()
}

fn expect_condition(seen: &str, allowed: &[&str]) -> Result<()> {
    if allowed.contains(&seen) {
        return Ok(());
    }
    Err(FlowError::differs("the condition of an error", &allowed.join(" or "), &seen))
}
