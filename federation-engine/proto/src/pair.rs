//! The unit of authorisation: the sender domain and the target domain that a stream may carry.

use std::fmt;

use crate::Domain;
use crate::stanza::address::domainpart;
use crate::xml::Element;

/// An ordered pair of domains, in the direction of the stanza (XEP-0220 §1.1: sender domain, target domain).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pair {
    /// Domain of the stanza's `from`.
    pub from: Domain,
    /// Domain of the stanza's `to`.
    pub to: Domain,
}

impl Pair {
    /// The pair of a stanza; `None` without usable addresses.
    pub fn of(stanza: &Element) -> Option<Self> {
        let from = Domain::parse(domainpart(&stanza.from()?)).ok()?;
        let to = Domain::parse(domainpart(&stanza.to()?)).ok()?;
        Some(Self { from, to })
    }

    /// The pair of answers to stanzas of this one.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone() }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}
