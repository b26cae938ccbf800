//! Presences of a room's occupants, and the account of them: each receiver gets those of each occupant in order, each
//! once.

use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memchr::memmem::Finder;

/// The domain of the room.
pub(crate) const DOMAIN: &str = "conference.local.example";
/// Precedes the numbers of occupant and presence in every id.
const ID_PREFIX: &str = "id='room-";
/// Digits of the number of an occupant, and of a presence.
const DIGITS: (usize, usize) = (3, 8);

/// A presence: the number of its occupant, and its own number among those of the occupant.
pub(crate) type Presence = (usize, u64);

/// The domain of an occupant.
pub(crate) fn domain_of(occupant: usize) -> String {
    format!("peer{occupant}.example")
}

/// A presence as its occupant sends it to the room.
pub(crate) fn to_room(presence: Presence) -> String {
    let (occupant, _) = presence;
    let mut text = String::new();
    let _ = write!(
        text,
        "<presence from='nurse@{}/orchard' to='hall@{DOMAIN}/nick{occupant}' {}><show>away</show>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>",
        domain_of(occupant),
        id(presence)
    );
    text
}

/// The same presence as the room sends it to an occupant (XEP-0045 §7.7).
pub(crate) fn from_room(text: &mut String, presence: Presence, receiver: usize) {
    let (occupant, _) = presence;
    let _ = write!(
        text,
        "<presence from='hall@{DOMAIN}/nick{occupant}' to='nurse@{}/orchard' {}><show>away</show>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' \
         role='participant'/></x></presence>",
        domain_of(receiver),
        id(presence)
    );
}

fn id((occupant, number): Presence) -> String {
    let (wide, long) = DIGITS;
    format!("{ID_PREFIX}{occupant:0wide$}-{number:0long$}'")
}

/// Finds presences in the bytes of a stream. Other stanzas, such as pings, are skipped.
#[derive(Debug)]
pub(crate) struct Splitter {
    pending: Vec<u8>,
    end: Finder<'static>,
    id: Finder<'static>,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { pending: Vec::new(), end: Finder::new("</presence>"), id: Finder::new(ID_PREFIX) }
    }
}

impl Splitter {
    /// Reads the next bytes, and returns the presences that are complete. `None`: one of them has no number.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<Vec<Presence>> {
        self.pending.extend_from_slice(bytes);
        let (mut found, mut rest) = (Vec::new(), self.pending.as_slice());
        while let Some(at) = self.end.find(rest) {
            let (presence, after) = rest.split_at_checked(at + self.end.needle().len())?;
            found.push(self.numbers(presence)?);
            rest = after;
        }
        let read = self.pending.len() - rest.len();
        self.pending.drain(..read);
        Some(found)
    }

    fn numbers(&self, presence: &[u8]) -> Option<Presence> {
        let (_, id) = presence.split_at_checked(self.id.find(presence)? + ID_PREFIX.len())?;
        let (wide, long) = DIGITS;
        let (occupant, number) = (id.get(..wide)?, id.get(wide + 1..)?.get(..long)?);
        let text = |digits| std::str::from_utf8(digits).ok();
        Some((text(occupant)?.parse().ok()?, text(number)?.parse().ok()?))
    }
}

#[derive(Debug, Default)]
struct State {
    /// For each receiver and occupant: the number of the next presence.
    next: Vec<Vec<u64>>,
    arrived: u64,
    /// Streams that are open.
    open: usize,
    /// The first unexpected presence.
    wrong: Option<String>,
}

/// The account. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Account {
    /// Of that many receivers and occupants.
    pub(crate) fn new(receivers: usize, occupants: usize) -> Self {
        let next = vec![vec![0; occupants]; receivers];
        Self { shared: Arc::new((Mutex::new(State { next, ..State::default() }), Condvar::new())) }
    }

    /// These presences have arrived; `None`: bytes that are no presence of an occupant.
    pub(crate) fn arrived(&self, receiver: usize, presences: Option<&[Presence]>) {
        self.change(|state| match presences {
            Some(presences) => {
                for presence in presences {
                    state.count(receiver, *presence);
                }
            }
            None => state.find("a presence without a number arrived".to_owned()),
        });
    }

    /// A stream was opened.
    pub(crate) fn opened(&self) {
        self.change(|state| state.open += 1);
    }

    /// A stream has ended.
    pub(crate) fn ended(&self) {
        self.change(|state| state.open = state.open.saturating_sub(1));
    }

    /// Something else went wrong.
    pub(crate) fn failed(&self, what: String) {
        self.change(|state| state.find(what));
    }

    /// Waits until that many have arrived. `timeout` limits the silence, not the whole wait.
    pub(crate) fn wait(&self, presences: u64, timeout: Duration) -> Result<(), String> {
        self.until(timeout, |state| state.arrived >= presences)?;
        match self.lock().arrived {
            arrived if arrived == presences => Ok(()),
            arrived => Err(format!("{arrived} presences arrived instead of {presences}")),
        }
    }

    /// Waits until all streams have ended.
    pub(crate) fn wait_for_ends(&self, timeout: Duration) -> Result<(), String> {
        self.until(timeout, |state| state.open == 0)
    }

    fn until(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> Result<(), String> {
        let mut state = self.lock();
        let mut seen = (state.arrived, Instant::now());
        loop {
            if let Some(wrong) = &state.wrong {
                return Err(wrong.clone());
            }
            if done(&state) {
                return Ok(());
            }
            if state.arrived != seen.0 {
                seen = (state.arrived, Instant::now());
            }
            let left = timeout.saturating_sub(seen.1.elapsed());
            if left.is_zero() {
                let (arrived, next) = (state.arrived, &state.next);
                return Err(format!(
                    "{arrived} presences arrived, and then none for {timeout:?}; next for each \
                     receiver and occupant: {next:?}"
                ));
            }
            let waited = self.shared.1.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, receiver: usize, (occupant, number): Presence) {
        let next = self.next.get_mut(receiver).and_then(|next| next.get_mut(occupant));
        if let Some(next) = next.filter(|next| **next == number) {
            *next += 1;
            self.arrived += 1;
            return;
        }
        let next = self.next.get(receiver).and_then(|next| next.get(occupant));
        self.find(format!(
            "receiver {receiver} expected presence {next:?} of occupant {occupant} and got {number}"
        ));
    }

    fn find(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn presences_are_found_however_the_bytes_are_cut() {
        let mut copy = String::new();
        from_room(&mut copy, (12, 34), 5);
        let bytes = to_room((3, 7)) + "<iq type='get' id='ping'/>" + &copy;
        for cut in 0..bytes.len() {
            let mut splitter = Splitter::default();
            let (head, tail) = bytes.as_bytes().split_at(cut);
            let found = [splitter.feed(head).unwrap(), splitter.feed(tail).unwrap()].concat();
            assert_eq!(found, [(3, 7), (12, 34)]);
        }
        assert_eq!(Splitter::default().feed(b"<presence></presence>"), None);
    }

    #[test]
    fn a_missing_a_repeated_and_a_foreign_presence_are_found() {
        let account = |presences: &[Presence]| {
            let account = Account::new(2, 2);
            account.arrived(1, Some(presences));
            account.wait(2, NOW)
        };
        assert_eq!(account(&[(0, 0), (1, 0)]), Ok(()));
        assert_eq!(account(&[(0, 0), (0, 1)]), Ok(()));
        for wrong in [&[(0, 0), (0, 0)], &[(0, 0), (0, 2)], &[(0, 0), (2, 0)]] {
            let found = account(wrong).unwrap_err();
            assert!(found.starts_with("receiver 1 expected presence"), "{found}");
        }
        assert!(account(&[(0, 0)]).unwrap_err().starts_with("1 presences arrived, and then none"));
        assert!(account(&[(0, 0), (0, 1), (1, 0)]).unwrap_err().starts_with("3 presences arrived"));
    }
}
