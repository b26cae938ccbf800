//! Rooms: entering, talking, nicks and leaving (XEP-0045 §7).

use s2s_peer::element::Element;

use crate::error::{FlowError, Result, same};
use crate::flow::{Flow, Outcome};
use crate::hall::{GUEST, Hall, OWNER};
use crate::room::{self, DELAY, MUC_USER, condition, same_error, say};
use crate::side::Side;

/// The flows.
pub const FLOWS: &[Flow] = &[
    Flow { name: "room: enter and leave, presence", run: enter_and_leave },
    Flow { name: "room: subject and history", run: subject_and_history },
    Flow { name: "room: private message", run: private_message },
    Flow { name: "room: nick change, right to left", run: nick_change },
];

/// Hebrew and Arabic nicks, from right to left (RFC 3454 §6).
const NICKS: [&str; 2] = ["יוליה מוורונה", "روميو"];

/// A presence with a show, which an occupant sends to a room, keeps its content.
fn enter_and_leave(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    Hall::open(visitors, home, "enter", "", |hall| {
        let witness = hall.witness_enters()?;
        let guest = hall.guest_enters()?;
        same("status codes of a guest", &witness.own.codes, &guest.own.codes)?;
        let rights = |entry: &room::Entry| (entry.own.affiliation.clone(), entry.own.role.clone());
        same("rights of a guest", &rights(&witness), &rights(&guest))?;
        let owner = |entry: &room::Entry| {
            entry.others.iter().find(|one| one.nick == OWNER).map(|one| one.stanza.clone())
        };
        let (Some(at_witness), Some(at_guest)) = (owner(&witness), owner(&guest)) else {
            return Err(FlowError::differs("the list of occupants", &OWNER, &"none"));
        };
        room::alike("the owner in the list", &at_witness, &at_guest)?;

        let room = hall.room.clone();
        let show = "<show>away</show><status>Späßle machen</status><priority>5</priority>";
        hall.guest.send(&format!("<presence to='{room}/{GUEST}'>{show}</presence>"))?;
        let seen = hall.all_see(GUEST, GUEST)?;
        same("the show", &Some("away"), &room::text(&seen.stanza, "show"))?;
        same("the status", &Some("Späßle machen"), &room::text(&seen.stanza, "status"))?;
        hall.owner.send(&format!("<presence to='{room}/{OWNER}'><show>dnd</show></presence>"))?;
        let seen = hall.all_see(OWNER, OWNER)?;
        same("the show", &Some("dnd"), &room::text(&seen.stanza, "show"))?;

        let status = "<status>Gute Nacht</status>";
        hall.guest.send(&format!(
            "<presence to='{room}/{GUEST}' type='unavailable'>{status}</presence>"
        ))?;
        let seen = hall.all_see(GUEST, GUEST)?;
        same("the guest has left", &(false, "none"), &(seen.available, seen.role.as_str()))?;
        same("the status", &Some("Gute Nacht"), &room::text(&seen.stanza, "status"))?;
        // Outside, the guest neither receives nor may send.
        say(&mut hall.owner, &room, "after")?;
        for client in [&mut hall.owner, &mut hall.witness] {
            room::message(client, &room, "groupchat", OWNER)?;
        }
        let id = say(&mut hall.guest, &room, "from outside")?;
        let error = room::next(&mut hall.guest, &room, "an error of the room")?;
        same("the answer to a message from outside", &Some("error"), &error.attribute("type"))?;
        same("its id", &Some(id.as_str()), &error.attribute("id"))
    })
}

/// The bodies and delay stamps of messages of the past.
fn past(history: &[Element]) -> Result<Vec<(Option<&str>, &str)>> {
    history
        .iter()
        .map(|message| {
            let stamp = message.child(DELAY, "delay").and_then(|delay| delay.attribute("stamp"));
            let stamp = stamp.ok_or_else(|| {
                FlowError::differs("a message of the past", &"with a delay stamp", message)
            })?;
            Ok((room::text(message, "body"), stamp))
        })
        .collect()
}

/// Everybody sees a new subject. Who comes later receives subject and history, and the guest what the witness receives.
fn subject_and_history(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    const SUBJECT: &str = "Über Äpfel & Birnen";
    Hall::open(visitors, home, "subject", "", |hall| {
        let room = hall.room.clone();
        let subject = "<subject>Über Äpfel &amp; Birnen</subject>";
        hall.owner.send(&format!("<message type='groupchat' to='{room}'>{subject}</message>"))?;
        let seen = room::message(&mut hall.owner, &room, "groupchat", OWNER)?;
        same("the subject", &Some(SUBJECT), &room::text(&seen, "subject"))?;
        let mut ids = Vec::new();
        for body in ["first", "second &lt;b&gt;", "third ✓"] {
            ids.push(say(&mut hall.owner, &room, body)?);
            room::message(&mut hall.owner, &room, "groupchat", OWNER)?;
        }
        let witness = hall.witness_enters()?;
        let guest = hall.guest_enters()?;
        for entry in [&witness, &guest] {
            same("the subject", &Some(SUBJECT), &room::text(&entry.subject, "subject"))?;
            let bodies: Vec<_> = past(&entry.history)?.into_iter().map(|(body, _)| body).collect();
            same(
                "the history",
                &vec![Some("first"), Some("second <b>"), Some("third ✓")],
                &bodies,
            )?;
            let seen: Vec<_> =
                entry.history.iter().filter_map(|message| message.attribute("id")).collect();
            same("the ids of the history", &ids, &seen.iter().map(ToString::to_string).collect())?;
        }
        same("the stamps", &past(&witness.history)?, &past(&guest.history)?)?;
        for (one, other) in witness.history.iter().zip(&guest.history) {
            room::alike("a message of the past", one, other)?;
        }

        let id = say(&mut hall.guest, &room, "from far away")?;
        let heard = hall.all_hear(GUEST)?;
        same("the id of a message to all", &Some(id.as_str()), &heard.attribute("id"))?;
        same("its body", &Some("from far away"), &room::text(&heard, "body"))?;
        same("its delay", &true, &heard.child(DELAY, "delay").is_none())
    })
}

/// A private message goes to one occupant alone, with its content. One to nobody comes back.
fn private_message(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    Hall::full(visitors, home, "private", |hall| {
        let room = hall.room.clone();
        let payload = "<thread>t1</thread><active xmlns='http://jabber.org/protocol/chatstates'/>";
        let private = |id: &str, to: &str| {
            format!(
                "<message type='chat' id='{id}' to='{room}/{to}'><body>between us</body>{payload}<x xmlns='{MUC_USER}'/></message>"
            )
        };
        let check = |message: &Element, id: &str| {
            same("the id", &Some(id), &message.attribute("id"))?;
            same("the body", &Some("between us"), &room::text(message, "body"))?;
            same("the thread", &Some("t1"), &room::text(message, "thread"))?;
            let chat = message.child("http://jabber.org/protocol/chatstates", "active");
            same("the chat state", &true, &chat.is_some())?;
            same("the mark", &true, &message.child(MUC_USER, "x").is_some())
        };
        hall.guest.send(&private("pm-1", OWNER))?;
        check(&room::message(&mut hall.owner, &room, "chat", GUEST)?, "pm-1")?;
        hall.owner.send(&private("pm-2", GUEST))?;
        check(&room::message(&mut hall.guest, &room, "chat", OWNER)?, "pm-2")?;
        for client in [&mut hall.witness, &mut hall.guest] {
            client.send(&private("pm-3", "nobody"))?;
        }
        let at_witness = room::message(&mut hall.witness, &room, "error", "nobody")?;
        let at_guest = room::message(&mut hall.guest, &room, "error", "nobody")?;
        same_error(&at_witness, &at_guest)?;
        // The witness has seen nothing of it.
        say(&mut hall.owner, &room, "to all")?;
        hall.all_hear(OWNER).map(drop)
    })
}

/// An occupant takes a new nick, and all see the old one go and the new one come. A nick in use is refused.
fn nick_change(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    Hall::full(visitors, home, "nick", |hall| {
        let room = hall.room.clone();
        let mut old = GUEST;
        for nick in NICKS {
            hall.guest.send(&format!("<presence to='{room}/{nick}'/>"))?;
            let gone = hall.all_see(old, GUEST)?;
            same("the old nick is gone", &false, &gone.available)?;
            same("code 303", &true, &gone.has("303"))?;
            let new = gone.item().and_then(|item| item.attribute("nick"));
            same("the announced nick", &Some(nick), &new)?;
            let come = hall.all_see(nick, GUEST)?;
            same("the new nick is there", &true, &come.available)?;
            say(&mut hall.guest, &room, "as myself")?;
            hall.all_hear(nick)?;
            old = nick;
        }
        for client in [&mut hall.witness, &mut hall.guest] {
            client.send(&format!("<presence to='{room}/{OWNER}'/>"))?;
        }
        let at_witness = room::next(&mut hall.witness, &room, "the answer to a nick in use")?;
        let at_guest = room::next(&mut hall.guest, &room, "the answer to a nick in use")?;
        same_error(&at_witness, &at_guest)?;
        condition(&at_guest, "conflict")
    })
}
