//! Rooms: invitations, and the decisions of moderators, administrators and owners (XEP-0045 §7.8, §8 to §10).

use s2s_peer::element::Element;
use s2s_peer::namespace::CLIENT;

use crate::error::{FlowError, Result, same, same_content};
use crate::features::DISCO_INFO;
use crate::flow::{Flow, Outcome};
use crate::hall::{GUEST, Hall, OWNER, WITNESS};
use crate::room::{self, MUC_ADMIN, MUC_OWNER, MUC_USER, condition, same_error, say};
use crate::side::Side;

/// The flows.
pub const FLOWS: &[Flow] = &[
    Flow { name: "room: invitations, mediated and direct", run: invitations },
    Flow { name: "room: voice, kick and ban", run: kick_and_ban },
    Flow { name: "room: refusals", run: refusals },
    Flow { name: "room: destruction", run: destruction },
];

/// Namespace of a direct invitation (XEP-0249).
const DIRECT: &str = "jabber:x:conference";
/// A reason with characters that XML escapes.
const REASON: &str = "<reason>Komm &amp; tanz 💃</reason>";
const REASON_TEXT: &str = "Komm & tanz 💃";

/// The owner invites the guest through the room, the guest declines, and the owner invites directly; then the guest comes.
fn invitations(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    Hall::open(visitors, home, "invite", "", |hall| {
        let room = hall.room.clone();
        let (owner, guest) = (hall.owner.bare().to_owned(), hall.guest.bare().to_owned());
        let invite = format!("<invite to='{guest}'>{REASON}</invite>");
        hall.owner
            .send(&format!("<message to='{room}'><x xmlns='{MUC_USER}'>{invite}</x></message>"))?;
        let invitation = room::next(&mut hall.guest, &room, "an invitation")?;
        let seen = part(&invitation, MUC_USER, "invite")?;
        is_from("who invites", seen, &owner, &format!("{room}/{OWNER}"))?;
        let reason = seen.child(MUC_USER, "reason").map(|reason| reason.text.as_str());
        same("the reason", &Some(REASON_TEXT), &reason)?;

        let decline = format!("<decline to='{owner}'>{REASON}</decline>");
        hall.guest
            .send(&format!("<message to='{room}'><x xmlns='{MUC_USER}'>{decline}</x></message>"))?;
        let refusal = room::next(&mut hall.owner, &room, "that the guest declines")?;
        let seen = part(&refusal, MUC_USER, "decline")?;
        is_from("who declines", seen, &guest, &guest)?;
        let reason = seen.child(MUC_USER, "reason").map(|reason| reason.text.as_str());
        same("the reason", &Some(REASON_TEXT), &reason)?;

        let direct = format!("<x xmlns='{DIRECT}' jid='{room}' reason='Komm &amp; tanz 💃'/>");
        hall.owner.send(&format!("<message to='{guest}'>{direct}</message>"))?;
        let invitation = hall.guest.expect("a direct invitation", |stanza| {
            stanza.is(CLIENT, "message") && room::bare(stanza) == owner
        })?;
        let seen = invitation
            .child(DIRECT, "x")
            .ok_or_else(|| FlowError::differs("a direct invitation", &DIRECT, &invitation))?;
        same("the room", &Some(room.as_str()), &seen.attribute("jid"))?;
        same("the reason", &Some(REASON_TEXT), &seen.attribute("reason"))?;
        hall.witness_enters()?;
        hall.guest_enters().map(drop)
    })
}

/// Checks who invites or declines: an account, or an occupant of the room (XEP-0045 §7.8.2).
fn is_from(what: &str, part: &Element, account: &str, occupant: &str) -> Result<()> {
    let from = part.attribute("from").unwrap_or_default();
    if from == occupant || from.split('/').next() == Some(account) {
        return Ok(());
    }
    Err(FlowError::differs(what, &format!("{account} or {occupant}"), &from))
}

/// The part of what a room sends about its occupants or guests.
fn part<'a>(stanza: &'a Element, namespace: &str, name: &str) -> Result<&'a Element> {
    let part = stanza.child(namespace, "x").and_then(|x| x.child(namespace, name));
    part.ok_or_else(|| FlowError::differs("a message of the room", &name, stanza))
}

/// The guest loses voice and gets it again, is removed, comes back, is banned, and cannot come back.
fn kick_and_ban(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    Hall::full(visitors, home, "kick", |hall| {
        let room = hall.room.clone();
        for role in ["visitor", "participant"] {
            let item = format!("nick='{GUEST}' role='{role}'");
            room::decide(&mut hall.owner, &room, &item, "as I like")?;
            let seen = hall.all_see(GUEST, GUEST)?;
            same("the role", &(true, role), &(seen.available, seen.role.as_str()))?;
        }
        room::decide(&mut hall.owner, &room, &format!("nick='{GUEST}' role='none'"), "zu laut")?;
        let seen = hall.all_see(GUEST, GUEST)?;
        same("the guest is gone", &(false, "none"), &(seen.available, seen.role.as_str()))?;
        same("code 307", &true, &seen.has("307"))?;
        same("the reason", &Some("zu laut"), &seen.reason())?;
        say(&mut hall.guest, &room, "still here?")?;
        let refused = room::next(&mut hall.guest, &room, "the answer to one who was removed")?;
        same("the answer", &Some("error"), &refused.attribute("type"))?;

        hall.guest_enters()?;
        let guest = hall.guest.bare().to_owned();
        let item = format!("jid='{guest}' affiliation='outcast'");
        room::decide(&mut hall.owner, &room, &item, "endgültig")?;
        let seen = hall.all_see(GUEST, GUEST)?;
        same(
            "the guest is gone",
            &(false, "outcast"),
            &(seen.available, seen.affiliation.as_str()),
        )?;
        same("code 301", &true, &seen.has("301"))?;
        same("the reason", &Some("endgültig"), &seen.reason())?;
        let query = format!("<query xmlns='{MUC_ADMIN}'><item affiliation='outcast'/></query>");
        let list = hall.owner.request(&room, "get", &query)?;
        let banned: Vec<_> = list
            .child(MUC_ADMIN, "query")
            .into_iter()
            .flat_map(|query| &query.children)
            .filter_map(|item| item.attribute("jid"))
            .collect();
        same("the list of the banned", &vec![guest.as_str()], &banned)?;
        room::ask(&mut hall.guest, &room, GUEST)?;
        let refused = room::next(&mut hall.guest, &room, "the answer to one who is banned")?;
        condition(&refused, "forbidden")?;
        // The others see nothing of the attempt.
        say(&mut hall.owner, &room, "next")?;
        for client in [&mut hall.owner, &mut hall.witness] {
            room::message(client, &room, "groupchat", OWNER)?;
        }
        Ok(())
    })
}

/// Whatever a room refuses, the guest receives the very error that someone at home receives.
fn refusals(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    let members = "<field var='muc#roomconfig_membersonly'><value>1</value></field>";
    Hall::open(visitors, home, "refuse", members, |hall| {
        let room = hall.room.clone();
        let service = room.split('@').nth(1).unwrap_or_default().to_owned();
        both_are_refused(hall, "registration-required")?;
        let locked = "<field var='muc#roomconfig_membersonly'><value>0</value></field>\
             <field var='muc#roomconfig_passwordprotectedroom'><value>1</value></field>\
             <field var='muc#roomconfig_roomsecret'><value>sesame</value></field>";
        room::configure(&mut hall.owner, &room, locked)?;
        both_are_refused(hall, "not-authorized")?;
        for bare in [hall.witness.bare().to_owned(), hall.guest.bare().to_owned()] {
            let item = format!("jid='{bare}' affiliation='outcast'");
            room::decide(&mut hall.owner, &room, &item, "no")?;
        }
        both_are_refused(hall, "forbidden")?;
        let nowhere = format!("nowhere@{service}");
        let mut answers = Vec::new();
        for client in [&mut hall.witness, &mut hall.guest] {
            say(client, &nowhere, "anybody?")?;
            let message = room::next(client, &nowhere, "the answer to a message to no room")?;
            let query = format!("<query xmlns='{DISCO_INFO}'/>");
            answers.push((message, client.request(&nowhere, "get", &query)?));
        }
        let [at_witness, at_guest] = answers.as_slice() else { return Ok(()) };
        same_error(&at_witness.0, &at_guest.0)?;
        condition(&at_guest.0, "item-not-found")?;
        same("the kind of answer", &at_witness.1.attribute("type"), &at_guest.1.attribute("type"))?;
        let what = "the answer to a query about no room";
        same_content(what, &at_witness.1.children, &at_guest.1.children)
    })
}

/// Both ask to enter under the same nick, and receive the same refusal.
fn both_are_refused(hall: &mut Hall, expected: &str) -> Result<()> {
    let room = hall.room.clone();
    let mut answers = Vec::new();
    for client in [&mut hall.witness, &mut hall.guest] {
        room::ask(client, &room, "someone")?;
        answers.push(room::next(client, &room, &format!("the refusal {expected}"))?);
    }
    let [at_witness, at_guest] = answers.as_slice() else { return Ok(()) };
    same_error(at_witness, at_guest)?;
    condition(at_guest, expected)
}

/// The owner destroys the room, all learn the reason and where to go, and nothing is left.
fn destruction(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    Hall::full(visitors, home, "destroy", |hall| {
        let room = hall.room.clone();
        let venue = room.replace("destroy@", "venue@");
        let destroy = format!("<destroy jid='{venue}'>{REASON}</destroy>");
        room::done(
            &mut hall.owner,
            &room,
            &format!("<query xmlns='{MUC_OWNER}'>{destroy}</query>"),
        )?;
        let nicks = [OWNER, WITNESS, GUEST];
        for (client, nick) in hall.all().into_iter().zip(nicks) {
            let seen = room::presence(client, &room, nick)?;
            same("the occupant is gone", &false, &seen.available)?;
            let destroy = part(&seen.stanza, MUC_USER, "destroy")?;
            same("where to go", &Some(venue.as_str()), &destroy.attribute("jid"))?;
            let reason = destroy.child(MUC_USER, "reason").map(|reason| reason.text.as_str());
            same("the reason", &Some(REASON_TEXT), &reason)?;
        }
        let query = format!("<query xmlns='{DISCO_INFO}'/>");
        let at_witness = hall.witness.request(&room, "get", &query)?;
        let at_guest = hall.guest.request(&room, "get", &query)?;
        same("the kind of answer", &Some("error"), &at_guest.attribute("type"))?;
        same_error(&at_witness, &at_guest)
    })
}
