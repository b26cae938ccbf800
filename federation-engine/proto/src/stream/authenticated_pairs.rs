//! The pairs whose stanzas a stream may bring us: exact pairs, never "this peer to any domain here" (RFC 6120 §8.1).

use std::borrow::Cow;

use super::Surroundings;
use crate::Domain;
use crate::pair::Pair;
use crate::reason::Refusal;
use crate::stanza::Kind;
use crate::stanza::address::{Jid, belongs_to, is_canonical};
use crate::xml::Element;
use crate::xml::element::Copied;

/// Authenticated pairs, in the direction of their stanzas: `from` is a domain of the peer.
#[derive(Debug, Default)]
pub(super) struct AuthenticatedPairs(Vec<Pair>);

impl AuthenticatedPairs {
    /// The pair of a stanza. The path of every stanza: no allocation as long as addresses are spelt canonically.
    ///
    /// # Errors
    /// Why the stanza must not be relayed; [`Self::refusal`] distinguishes whether `from` or `to` is wrong.
    pub(super) fn authorize(&self, element: &Element) -> Result<&Pair, Refusal> {
        if Kind::of(element).is_none() {
            return Err(Refusal::UnsupportedStanzaType);
        }
        if self.0.is_empty() {
            return Err(Refusal::NotAuthorized);
        }
        if let (Some(from), Some(to)) = (element.plain(Copied::From), element.plain(Copied::To)) {
            let canonical =
                |pair: &&Pair| is_canonical(from, &pair.from) && is_canonical(to, &pair.to);
            if let Some(pair) = self.0.iter().find(canonical) {
                return Ok(pair);
            }
        }
        let (Some(from), Some(to)) = (element.from(), element.to()) else {
            return Err(Refusal::ImproperAddressing);
        };
        self.0
            .iter()
            .find(|pair| belongs_to(&from, &pair.from) && belongs_to(&to, &pair.to))
            .ok_or(Refusal::InvalidFrom)
    }

    /// Which address of a stanza that [`Self::authorize`] refused is the cause (RFC 6120 §8.1.1.2, §8.1.2.2).
    pub(super) fn refusal(
        &self,
        element: &Element,
        refusal: Refusal,
        around: &dyn Surroundings,
    ) -> Refusal {
        if refusal != Refusal::InvalidFrom {
            return refusal;
        }
        let parse =
            |address: Option<Cow<'_, str>>| address.and_then(|address| Jid::parse(&address).ok());
        let (Some(from), Some(to)) = (parse(element.from()), parse(element.to())) else {
            return Refusal::ImproperAddressing;
        };
        if self.has_peer(from.domain()) && !around.serves(to.domain()) {
            Refusal::HostUnknown
        } else {
            Refusal::InvalidFrom
        }
    }

    pub(super) fn push(&mut self, pair: Pair) {
        self.0.push(pair);
    }

    pub(super) fn contains(&self, pair: &Pair) -> bool {
        self.0.contains(pair)
    }

    /// Whether `domain` is authenticated at the other end, towards any domain here.
    pub(super) fn has_peer(&self, domain: &Domain) -> bool {
        self.0.iter().any(|pair| pair.from == *domain)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
