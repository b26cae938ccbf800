//! Presence: nothing in it changes on its way (RFC 6121 §4).

use crate::client::Client;
use crate::error::{Result, same};
use crate::flow::{Flow, Outcome};
use crate::people::{
    acting, appear, befriend, condition, expect_error, expect_presence, meet, unchanged,
};
use crate::side::Side;

/// The flows.
pub const FLOWS: &[Flow] = &[
    Flow { name: "chat, away, xa, dnd with status and priority", run: shows },
    Flow { name: "capabilities (XEP-0115) and unknown children", run: capabilities },
    Flow { name: "unavailable, and a connection that ends", run: unavailable },
    Flow { name: "probes after a new login", run: probes },
    Flow { name: "presence to one who is not subscribed", run: directed },
    Flow { name: "blocking (XEP-0191)", run: blocking },
];

const BLOCKING: &str = "urn:xmpp:blocking";
/// Text in both writing directions, with characters beyond 16 bits and ones that XML escapes.
const STATUS: &str = "<status>In a call &lt;until 5&gt; &amp; then &#x1F35D;</status><status xml:lang='ar'>\u{645}\u{634}\u{63a}\u{648}\u{644} \u{1F4DE}</status>";

/// Sends a presence to all contacts, and checks it at one of them.
fn seen(from: &mut Client, at: &mut Client, kind: Option<&str>, children: &str) -> Result<()> {
    let id = from.next_id("presence");
    let kind_attribute = kind.map(|kind| format!(" type='{kind}'")).unwrap_or_default();
    from.send(&format!("<presence id='{id}'{kind_attribute}>{children}</presence>"))?;
    let (sender, bare) = (from.address().to_owned(), at.bare().to_owned());
    let stanza = expect_presence(at, &sender, kind)?;
    // A broadcast is to the bare address, and its id is kept (RFC 6121 §4.4.2).
    let to = stanza.attribute("to").unwrap_or_default().to_owned();
    let to_bare = to.split('/').next().unwrap_or_default().to_owned();
    same("to of a presence", &bare, &to_bare)?;
    unchanged(&stanza, &sender, &to, children)
}

fn shows(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "presence.shows")?;
    befriend(&mut juliet, &mut romeo)?;
    for (show, priority) in [("away", "5"), ("xa", "-1"), ("dnd", "127"), ("chat", "0")] {
        let children = format!("<show>{show}</show>{STATUS}<priority>{priority}</priority>");
        seen(&mut juliet, &mut romeo, None, &children)?;
    }
    seen(&mut juliet, &mut romeo, None, "")?;
    Ok(Outcome::Passed)
}

fn capabilities(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "presence.caps")?;
    befriend(&mut juliet, &mut romeo)?;
    let children = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/><x xmlns='urn:example:unknown'><deep a='1' b='&lt;&quot;&apos;'><xmpp:e xmlns:xmpp='urn:example:other' f='2'/></deep></x><idle xmlns='urn:xmpp:idle:1' since='1969-07-21T02:56:15Z'/>";
    seen(&mut juliet, &mut romeo, None, children)?;
    Ok(Outcome::Passed)
}

fn unavailable(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "presence.leaves")?;
    befriend(&mut juliet, &mut romeo)?;
    seen(&mut juliet, &mut romeo, Some("unavailable"), STATUS)?;
    appear(&mut juliet)?;
    let address = juliet.address().to_owned();
    expect_presence(&mut romeo, &address, None)?;
    drop(juliet);
    expect_presence(&mut romeo, &address, Some("unavailable"))?;
    Ok(Outcome::Passed)
}

fn probes(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "presence.probes")?;
    befriend(&mut juliet, &mut romeo)?;
    let children = format!("<show>xa</show>{STATUS}<priority>3</priority>");
    seen(&mut romeo, &mut juliet, None, &children)?;
    let left = juliet.address().to_owned();
    drop(juliet);
    expect_presence(&mut romeo, &left, Some("unavailable"))?;
    // His server answers the probe of hers with his last presence (RFC 6121 §4.3.2).
    let mut juliet = one.log_in(&acting("presence.probes"), "again")?;
    juliet.send("<presence/>")?;
    let (address, again) = (romeo.address().to_owned(), juliet.address().to_owned());
    let answer = expect_presence(&mut juliet, &address, None)?;
    let to = answer.attribute("to").unwrap_or_default().to_owned();
    unchanged(&answer, &address, &to, &children)?;
    expect_presence(&mut romeo, &again, None)?;
    Ok(Outcome::Passed)
}

fn directed(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "presence.directed")?;
    let (address, to) = (juliet.address().to_owned(), romeo.address().to_owned());
    let children = format!("<show>dnd</show>{STATUS}");
    juliet.send(&format!("<presence to='{to}'>{children}</presence>"))?;
    let stanza = expect_presence(&mut romeo, &address, None)?;
    unchanged(&stanza, &address, &to, &children)?;
    // Her server tells everyone to whom she was available (RFC 6121 §4.6.3).
    drop(juliet);
    expect_presence(&mut romeo, &address, Some("unavailable"))?;
    Ok(Outcome::Passed)
}

fn blocking(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    if let Some(missing) = one.missing(&[BLOCKING]) {
        return Ok(missing);
    }
    let (mut juliet, mut romeo) = meet(one, other, "presence.blocking")?;
    befriend(&mut juliet, &mut romeo)?;
    let (address, bare) = (juliet.address().to_owned(), juliet.bare().to_owned());
    let contact = romeo.bare().to_owned();
    let item = format!("<item jid='{contact}'/>");
    let answer = juliet.request("", "set", &format!("<block xmlns='{BLOCKING}'>{item}</block>"))?;
    same("the answer to a block", &Some("result"), &answer.attribute("type"))?;
    // XEP-0191 §3.2: his messages and requests come back, and do not reach her.
    let id = romeo.next_id("m");
    romeo
        .send(&format!("<message type='chat' id='{id}' to='{bare}'><body>No?</body></message>"))?;
    same(
        "the error of a message",
        &"service-unavailable".to_owned(),
        &expect_error(&mut romeo, &id)?,
    )?;
    let answer = romeo.request(&address, "get", "<query xmlns='jabber:iq:version'/>")?;
    same("the error of a request", &Some("service-unavailable".to_owned()), &condition(&answer))?;
    let answer =
        juliet.request("", "set", &format!("<unblock xmlns='{BLOCKING}'>{item}</unblock>"))?;
    same("the answer to an unblock", &Some("result"), &answer.attribute("type"))?;
    let arrived = romeo.fence(&mut juliet)?;
    let messages = arrived.iter().filter(|stanza| stanza.name == "message").count();
    same("messages that reached the blocker", &0, &messages)?;
    Ok(Outcome::Passed)
}
