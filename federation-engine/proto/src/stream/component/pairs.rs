//! The pairs that a component uses, so that the configuration is not queried for every stanza.

use crate::Domain;
use crate::pair::Pair;
use crate::reason::Refusal;
use crate::stanza::address::{Jid, belongs_to, is_canonical};
use crate::xml::Element;
use crate::xml::element::Copied;

/// Pairs that are kept. A component may send to any number of domains.
const MAX_PAIRS: usize = 32;

/// Permitted pairs, in the direction of their stanzas: `from` is a domain of the component.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    known: Vec<Pair>,
    /// The pair of the last stanza: the next one usually has the same.
    last: usize,
    /// The pair that makes room for the next one.
    oldest: usize,
}

impl Pairs {
    /// The pair of a stanza. `speaks_for` decides about a `from` that is not known.
    pub(super) fn of(
        &mut self,
        element: &Element,
        speaks_for: impl FnOnce(&Domain) -> bool,
    ) -> Result<&Pair, Refusal> {
        let at = match self.find(element) {
            Some(at) => at,
            None => self.insert(permitted(element, speaks_for)?),
        };
        self.last = at;
        self.known.get(at).ok_or(Refusal::InvalidFrom)
    }

    fn find(&self, element: &Element) -> Option<usize> {
        if let (Some(from), Some(to)) = (element.plain(Copied::From), element.plain(Copied::To)) {
            let canonical =
                |pair: &Pair| is_canonical(to, &pair.to) && is_canonical(from, &pair.from);
            if self.known.get(self.last).is_some_and(canonical) {
                return Some(self.last);
            }
            if let Some(at) = self.known.iter().position(canonical) {
                return Some(at);
            }
        }
        let (from, to) = (element.from()?, element.to()?);
        self.known
            .iter()
            .position(|pair| belongs_to(&to, &pair.to) && belongs_to(&from, &pair.from))
    }

    fn insert(&mut self, pair: Pair) -> usize {
        if self.known.len() < MAX_PAIRS {
            self.known.push(pair);
            return self.known.len() - 1;
        }
        let at = self.oldest;
        if let Some(place) = self.known.get_mut(at) {
            *place = pair;
        }
        self.oldest = (at + 1) % MAX_PAIRS;
        at
    }
}

/// The pair of a stanza of a component. `from` is judged first: a stanza of a foreign sender gets no answer.
fn permitted(element: &Element, speaks_for: impl FnOnce(&Domain) -> bool) -> Result<Pair, Refusal> {
    let from =
        element.from().and_then(|from| Jid::parse(&from).ok()).ok_or(Refusal::InvalidFrom)?;
    if !speaks_for(from.domain()) {
        return Err(Refusal::InvalidFrom);
    }
    let to = element.to().and_then(|to| Jid::parse(&to).ok()).ok_or(Refusal::ImproperAddressing)?;
    Ok(Pair { from: from.domain().clone(), to: to.domain().clone() })
}
