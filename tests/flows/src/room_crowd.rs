//! Fifty occupants from the other side in one room: no presence is lost and none comes twice.

use std::collections::BTreeMap;

use s2s_peer::element::Element;
use s2s_peer::namespace::CLIENT;

use crate::client::Client;
use crate::error::{FlowError, Result, same};
use crate::flow::{Flow, Outcome};
use crate::room::{self, MUC, MUC_OWNER};
use crate::side::Side;

/// The flows.
pub const FLOWS: &[Flow] =
    &[Flow { name: "room: 50 occupants, no presence lost", run: fifty_occupants }];

/// The occupants besides the owner.
const OCCUPANTS: usize = 50;

/// The nick of an occupant.
fn nick(number: usize) -> String {
    format!("occupant-{number:02}")
}

/// Fifty people enter a room. Each sees every occupant once, and in the end the end of the
/// room once.
fn fifty_occupants(visitors: &mut Side, home: &mut Side) -> Result<Outcome> {
    let service = match home.service(MUC) {
        Ok(service) => service.to_owned(),
        Err(outcome) => return Ok(outcome),
    };
    let room = format!("crowd@{service}");
    let mut owner = home.log_in("owner-crowd", "owner")?;
    room::make(&mut owner, &room, "owner", "")?;
    let mut occupants = (0..OCCUPANTS)
        .map(|number| {
            let mut occupant = visitors.log_in(&format!("crowd-{number:02}"), "desk")?;
            // jabberd2 gives presences only to a client that is available.
            occupant.send("<presence/>")?;
            Ok(occupant)
        })
        .collect::<Result<Vec<_>>>()?;
    for (number, occupant) in occupants.iter_mut().enumerate() {
        // All are under way at the same time.
        room::ask(occupant, &room, &nick(number))?;
    }
    let mut everyone: BTreeMap<String, usize> =
        (0..OCCUPANTS).map(|number| (nick(number), 1)).collect();
    everyone.insert("owner".to_owned(), 1);
    for (number, occupant) in occupants.iter_mut().enumerate() {
        let seen = presences(occupant, &room, OCCUPANTS + 1)?;
        same(&format!("the presences at {}", nick(number)), &everyone, &seen)?;
    }
    // The owner was there before: without its own presence.
    everyone.remove("owner");
    let seen = presences(&mut owner, &room, OCCUPANTS)?;
    same("the presences at the owner", &everyone, &seen)?;

    // A message of the owner comes after all presences (RFC 6120 §10.1), so none comes twice.
    room::say(&mut owner, &room, "roll call")?;
    for occupant in &mut occupants {
        // It comes between the presences of those who enter later.
        occupant
            .expect("the subject", |stanza| room::bare(stanza) == room && is_subject(stanza))?;
    }
    for client in std::iter::once(&mut owner).chain(&mut occupants) {
        let next = room::message(client, &room, "groupchat", "owner")?;
        same("the next stanza", &Some("roll call"), &room::text(&next, "body"))?;
    }

    room::done(&mut owner, &room, &format!("<query xmlns='{MUC_OWNER}'><destroy/></query>"))?;
    for (number, occupant) in occupants.iter_mut().enumerate() {
        let seen = room::presence(occupant, &room, &nick(number))?;
        same("the end of the room", &false, &seen.available)?;
    }
    Ok(Outcome::Passed)
}

/// The subject, which a room sends to a new occupant.
fn is_subject(stanza: &Element) -> bool {
    stanza.is(CLIENT, "message") && stanza.child(CLIENT, "subject").is_some()
}

/// How often each occupant appears in the next presences.
fn presences(client: &mut Client, room: &str, count: usize) -> Result<BTreeMap<String, usize>> {
    let mut seen = BTreeMap::new();
    for number in 0..count {
        let what = format!("presence {number} of {count}");
        let stanza = client.expect(&what, |stanza| {
            let occupant = room::bare(stanza) == room && !room::resource(stanza).is_empty();
            occupant && stanza.is(CLIENT, "presence")
        })?;
        if let Some(kind) = stanza.attribute("type") {
            return Err(FlowError::differs(&what, &"available", &kind));
        }
        *seen.entry(room::resource(&stanza).to_owned()).or_default() += 1;
    }
    Ok(seen)
}
