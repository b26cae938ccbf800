//! Messages: what one person sends is what the other receives.

use interop::release::Release;
use s2s_peer::namespace::CLIENT;

use crate::client::Client;
use crate::error::{Result, same};
use crate::flow::{Flow, Outcome};
use crate::people::{appear, arrives, expect_presence, is_from, meet, send_presence};
use crate::side::{Side, Software};

/// The flows.
pub const FLOWS: &[Flow] = &[
    Flow { name: "chat with subject, thread and two languages", run: chat },
    Flow { name: "receipts (XEP-0184)", run: receipts },
    Flow { name: "chat states (XEP-0085)", run: chat_states },
    Flow { name: "corrections and reactions (XEP-0308, XEP-0444)", run: corrections },
    Flow { name: "stanza ids and delay stamps (XEP-0359, XEP-0203)", run: stamps },
    Flow { name: "an encrypted message of 30 kB (OMEMO)", run: encrypted },
    Flow { name: "the largest message that both servers accept", run: large },
    Flow { name: "a hundred messages in order", run: in_order },
    Flow { name: "addresses and nicknames of other scripts", run: scripts },
];

const RECEIPTS: &str = "urn:xmpp:receipts";
/// The engine's default for `limits.stanzaBytes`.
const ENGINE_LIMIT: usize = 524_288;
/// Room for what servers add to a stanza: addresses, a language.
const HEAD: usize = 1024;

/// A message to the other's client and one back, with the same children.
fn exchange(one: &mut Client, other: &mut Client, children: &str) -> Result<()> {
    arrives(one, other, "message", "type='chat'", children)?;
    arrives(other, one, "message", "type='chat'", children).map(drop)
}

fn chat(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.chat")?;
    exchange(
        &mut juliet,
        &mut romeo,
        "<subject>a &lt; b &amp;&amp; c &gt; d</subject><body>It&apos;s &quot;quoted&quot;, has&#10;two lines and &#x9;a tab</body><body xml:lang='ja'>\u{5c71}\u{5ddd}</body><thread parent='e0ffe42b'>t1</thread><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p style='font-weight:bold'>hello</p></body></html>",
    )?;
    // To the account rather than to the client (RFC 6121 §8.5.2).
    let (id, to) = (juliet.next_id("bare"), romeo.bare().to_owned());
    juliet.send(&format!(
        "<message type='chat' id='{id}' to='{to}'><body>to the account</body></message>"
    ))?;
    let stanza =
        romeo.expect("a message to the account", |stanza| stanza.attribute("id") == Some(&id))?;
    same("its sender", &Some(juliet.address()), &stanza.attribute("from"))?;
    same("its type", &Some("chat"), &stanza.attribute("type"))?;
    Ok(Outcome::Passed)
}

fn receipts(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.receipts")?;
    let children = format!("<body>Do you hear me?</body><request xmlns='{RECEIPTS}'/>");
    let stanza = arrives(&mut juliet, &mut romeo, "message", "type='chat'", &children)?;
    let id = stanza.attribute("id").unwrap_or_default();
    // The library answers by itself.
    let from = romeo.address().to_owned();
    juliet.expect("a receipt", |stanza| {
        is_from(stanza, &from)
            && stanza
                .child(RECEIPTS, "received")
                .is_some_and(|received| received.attribute("id") == Some(id))
    })?;
    let markers = "<body>Read it</body><markable xmlns='urn:xmpp:chat-markers:0'/>";
    let stanza = arrives(&mut juliet, &mut romeo, "message", "type='chat'", markers)?;
    let id = stanza.attribute("id").unwrap_or_default();
    let read = format!("<displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/>");
    arrives(&mut romeo, &mut juliet, "message", "type='chat'", &read)?;
    Ok(Outcome::Passed)
}

fn chat_states(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.states")?;
    for state in ["active", "composing", "paused", "inactive", "gone"] {
        // Without a body: a server must not take it for nothing.
        let children = format!("<{state} xmlns='http://jabber.org/protocol/chatstates'/>");
        exchange(&mut juliet, &mut romeo, &children)?;
    }
    Ok(Outcome::Passed)
}

fn corrections(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.corrections")?;
    let stanza = arrives(&mut juliet, &mut romeo, "message", "type='chat'", "<body>helo</body>")?;
    let id = stanza.attribute("id").unwrap_or_default().to_owned();
    let correction =
        format!("<body>hello</body><replace id='{id}' xmlns='urn:xmpp:message-correct:0'/>");
    arrives(&mut juliet, &mut romeo, "message", "type='chat'", &correction)?;
    let reaction = format!(
        "<reactions id='{id}' xmlns='urn:xmpp:reactions:0'><reaction>\u{1F44B}\u{1F3FD}</reaction><reaction>\u{2764}\u{FE0F}</reaction></reactions><store xmlns='urn:xmpp:hints'/>"
    );
    arrives(&mut romeo, &mut juliet, "message", "type='chat'", &reaction)?;
    let reply = format!(
        "<reply xmlns='urn:xmpp:reply:0' id='{id}' to='{}'/><body>&gt; hello&#10;hi</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='8'/></fallback>",
        juliet.address()
    );
    arrives(&mut romeo, &mut juliet, "message", "type='chat'", &reply)?;
    let retraction =
        format!("<retract id='{id}' xmlns='urn:xmpp:message-retract:1'/><body>gone</body>");
    arrives(&mut juliet, &mut romeo, "message", "type='chat'", &retraction)?;
    Ok(Outcome::Passed)
}

fn stamps(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.stamps")?;
    let children = "<body>late</body><origin-id xmlns='urn:xmpp:sid:0' id='o-1'/><stanza-id xmlns='urn:xmpp:sid:0' id='s-1' by='room@conference.elsewhere.example'/><delay xmlns='urn:xmpp:delay' from='room@conference.elsewhere.example' stamp='2002-09-10T23:08:25Z'>at last</delay>";
    exchange(&mut juliet, &mut romeo, children)?;
    Ok(Outcome::Passed)
}

fn encrypted(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.encrypted")?;
    let keys: Vec<String> = (1..=40)
        .map(|device| format!("<key rid='{device}' prekey='true'>{}</key>", base64(240, device)))
        .collect();
    let keys = keys.concat();
    let children = format!(
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='27183'>{keys}<iv>{}</iv></header><payload>{}</payload></encrypted><encryption xmlns='urn:xmpp:eme:0' name='OMEMO' namespace='eu.siacs.conversations.axolotl'/><store xmlns='urn:xmpp:hints'/><body>encrypted</body>",
        base64(16, 7),
        base64(20_000, 11),
    );
    exchange(&mut juliet, &mut romeo, &children)?;
    Ok(Outcome::Passed)
}

fn large(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.large")?;
    let limit = [limit(one.server), limit(other.server), ENGINE_LIMIT].into_iter().min();
    let size = limit.unwrap_or_default() - HEAD;
    let children = format!("<body>{}</body>", base64(size, 3).get(..size).unwrap_or_default());
    arrives(&mut juliet, &mut romeo, "message", "type='chat'", &children)?;
    // The stream survives it.
    exchange(&mut juliet, &mut romeo, "<body>small</body>")?;
    Ok(Outcome::Passed)
}

/// The largest stanza that a server accepts from its own clients, in bytes, with the settings of these tests.
const fn limit(software: Software) -> usize {
    match software {
        // `c2s_stanza_size_limit`.
        Software::Server(Release::Prosody0_12 | Release::Prosody13) => 262_144,
        // Without `max_stanza_size`, it has none.
        Software::Server(Release::Ejabberd23 | Release::Ejabberd24) | Software::Component => {
            ENGINE_LIMIT
        }
        // `stanzasize` in Debian's settings.
        Software::Server(Release::Jabberd2) => 65_535,
    }
}

fn in_order(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    let (mut juliet, mut romeo) = meet(one, other, "messages.order")?;
    let to = romeo.address().to_owned();
    let expected: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    for id in &expected {
        juliet.send(&format!(
            "<message type='chat' id='{id}' to='{to}'><body>{id}</body></message>"
        ))?;
    }
    let arrived = juliet.fence(&mut romeo)?;
    let messages = arrived.iter().filter(|stanza| stanza.is(CLIENT, "message"));
    let seen: Vec<String> =
        messages.filter_map(|stanza| stanza.attribute("id").map(str::to_owned)).collect();
    same("the messages", &expected, &seen)?;
    Ok(Outcome::Passed)
}

fn scripts(one: &mut Side, other: &mut Side) -> Result<Outcome> {
    // Characters of Unicode 3.2, which every implementation of stringprep knows (RFC 3454): one of them beyond 16 bits.
    let mut juliet = one.log_in(
        "\u{4e2d}\u{6587}.j\u{fc}rgen",
        "\u{1D11E} \u{431}\u{430}\u{43b}\u{43a}\u{43e}\u{43d}",
    )?;
    let mut romeo =
        other.log_in("\u{5e8}\u{5d5}\u{5de}\u{5d0}\u{5d5}", "\u{645}\u{643}\u{62a}\u{628}")?;
    for client in [&mut juliet, &mut romeo] {
        appear(client)?;
    }
    // A nickname from right to left, with marks of direction around it (XEP-0172).
    let nick = "<nick xmlns='http://jabber.org/protocol/nick'>\u{202B}\u{5e8}\u{5d5}\u{5de}\u{5d0}\u{5d5} (1)\u{202C}</nick>";
    exchange(
        &mut juliet,
        &mut romeo,
        &format!(
            "<body>\u{202E}\u{1F1E6}\u{1F1F6} \u{10FFFD} e\u{301} \u{e9}\u{202C}</body>{nick}"
        ),
    )?;
    let (from, to) = (juliet.bare().to_owned(), romeo.bare().to_owned());
    juliet.send(&format!("<presence type='subscribe' to='{to}'>{nick}</presence>"))?;
    let request = expect_presence(&mut romeo, &from, Some("subscribe"))?;
    crate::people::unchanged(&request, &from, &to, nick)?;
    send_presence(&mut romeo, &from, "subscribed")?;
    let address = romeo.address().to_owned();
    expect_presence(&mut juliet, &to, Some("subscribed"))?;
    expect_presence(&mut juliet, &address, None)?;
    Ok(Outcome::Passed)
}

/// Text like base64 of that many bytes, the same for the same seed.
fn base64(bytes: usize, seed: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed;
    (0..bytes.div_ceil(3) * 4)
        .filter_map(|_| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
            ALPHABET.get((state >> 16) % ALPHABET.len()).copied().map(char::from)
        })
        .collect()
}
