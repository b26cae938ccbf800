//! A room with three occupants: its owner and a witness, who are at home where the room is, and a guest from the other side
//! of the engine. Whatever the room sends to all, the guest must receive exactly as the witness does.

use s2s_peer::element::Element;

use crate::client::Client;
use crate::error::{Result, same};
use crate::flow::Outcome;
use crate::people::appear;
use crate::room::{self, Entry, MUC, Presence};
use crate::side::Side;

/// The nick of the owner.
pub(crate) const OWNER: &str = "owner";
/// The nick of the witness.
pub(crate) const WITNESS: &str = "witness";
/// The nick of the guest.
pub(crate) const GUEST: &str = "guest";

/// The room and its people.
#[derive(Debug)]
pub(crate) struct Hall {
    /// The address of the room.
    pub room: String,
    /// At home where the room is.
    pub owner: Client,
    /// At home where the room is, without special rights.
    pub witness: Client,
    /// From the other side, without special rights.
    pub guest: Client,
}

impl Hall {
    /// Runs a flow in a new room of `home`, which only its owner has entered. Its settings are those of the service, changed
    /// by `fields`.
    pub(crate) fn open(
        visitors: &mut Side,
        home: &mut Side,
        name: &str,
        fields: &str,
        flow: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Outcome> {
        let service = match home.service(MUC) {
            Ok(service) => service.to_owned(),
            Err(outcome) => return Ok(outcome),
        };
        let log_in = |side: &mut Side, role: &str| side.log_in(&format!("{role}-{name}"), role);
        let owner = log_in(home, OWNER)?;
        let witness = log_in(home, WITNESS)?;
        let guest = log_in(visitors, GUEST)?;
        let mut hall = Self { room: format!("{name}@{service}"), owner, witness, guest };
        for client in hall.all() {
            appear(client)?;
        }
        room::make(&mut hall.owner, &hall.room, OWNER, fields)?;
        flow(&mut hall)?;
        Ok(Outcome::Passed)
    }

    /// Runs a flow in a new room that all three have entered.
    pub(crate) fn full(
        visitors: &mut Side,
        home: &mut Side,
        name: &str,
        flow: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Outcome> {
        Self::open(visitors, home, name, "", |hall| {
            hall.witness_enters()?;
            hall.guest_enters()?;
            flow(hall)
        })
    }

    /// Everybody, the owner first and the guest last.
    pub(crate) fn all(&mut self) -> [&mut Client; 3] {
        [&mut self.owner, &mut self.witness, &mut self.guest]
    }

    /// The witness enters, before the guest.
    pub(crate) fn witness_enters(&mut self) -> Result<Entry> {
        let entry = room::enter(&mut self.witness, &self.room, WITNESS)?;
        let seen = room::presence(&mut self.owner, &self.room, WITNESS)?;
        same("the witness is seen", &true, &seen.available)?;
        Ok(entry)
    }

    /// The guest enters, sees both others, and is seen by both.
    pub(crate) fn guest_enters(&mut self) -> Result<Entry> {
        let entry = room::enter(&mut self.guest, &self.room, GUEST)?;
        let mut others: Vec<_> = entry.others.iter().map(|one| one.nick.as_str()).collect();
        others.sort_unstable();
        same("the others in the room", &vec![OWNER, WITNESS], &others)?;
        for client in [&mut self.owner, &mut self.witness] {
            let seen = room::presence(client, &self.room, GUEST)?;
            same("the guest is seen", &true, &seen.available)?;
            same("the guest's role", &"participant", &seen.role.as_str())?;
        }
        Ok(entry)
    }

    /// Everybody's next stanza of the room is the presence of that occupant; returns what the guest sees. What the guest and
    /// the witness see is the same, unless it is about one of them.
    pub(crate) fn all_see(&mut self, nick: &str, about: &str) -> Result<Presence> {
        let room = self.room.clone();
        let [owner, witness, guest] = self.all();
        let at_owner = room::presence(owner, &room, nick)?;
        let at_witness = room::presence(witness, &room, nick)?;
        let at_guest = room::presence(guest, &room, nick)?;
        same("seen by the owner", &at_guest.available, &at_owner.available)?;
        // An occupant learns more about itself: code 110, and its own address.
        if about == OWNER {
            room::alike("a presence of the owner", &at_witness.stanza, &at_guest.stanza)?;
        }
        same("code 110 at the owner", &(about == OWNER), &at_owner.has("110"))?;
        same("code 110 at the witness", &(about == WITNESS), &at_witness.has("110"))?;
        same("code 110 at the guest", &(about == GUEST), &at_guest.has("110"))?;
        for seen in [&at_owner, &at_witness] {
            let both = (seen.affiliation.as_str(), seen.role.as_str());
            let expected = (at_guest.affiliation.as_str(), at_guest.role.as_str());
            same("affiliation and role", &expected, &both)?;
        }
        Ok(at_guest)
    }

    /// Everybody's next stanza of the room is a message to all from that occupant; returns the guest's copy.
    pub(crate) fn all_hear(&mut self, nick: &str) -> Result<Element> {
        let room = self.room.clone();
        let [owner, witness, guest] = self.all();
        let at_owner = room::message(owner, &room, "groupchat", nick)?;
        let at_witness = room::message(witness, &room, "groupchat", nick)?;
        let at_guest = room::message(guest, &room, "groupchat", nick)?;
        room::alike("a message at owner and guest", &at_owner, &at_guest)?;
        room::alike("a message at witness and guest", &at_witness, &at_guest)?;
        Ok(at_guest)
    }
}
