//! The domains that an entry of `peers[]` or of a policy rule matches.

use std::fmt;
use std::str::FromStr;

use crate::domain::{Domain, DomainError};

/// An exact domain, or everything below a suffix.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DomainPattern {
    /// Exactly this domain.
    Exact(Domain),
    /// `*.suffix`: every domain below the suffix, never the suffix itself.
    Below(Domain),
}

impl DomainPattern {
    /// Parses `example.com` or `*.example.com`.
    ///
    /// # Errors
    /// When the text after `*.` is not a domain, or contains another `*`.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        match text.strip_prefix("*.") {
            Some(suffix) => Domain::parse(suffix).map(Self::Below),
            None => Domain::parse(text).map(Self::Exact),
        }
    }

    /// Whether the pattern covers the domain.
    pub fn covers(&self, domain: &Domain) -> bool {
        match self {
            Self::Exact(exact) => exact == domain,
            Self::Below(suffix) => domain.is_below(suffix),
        }
    }

    /// How specific the pattern is; among the patterns that cover a domain, the greatest value wins. An exact name beats
    /// every suffix, and a longer suffix beats a shorter one.
    pub fn specificity(&self) -> (bool, usize) {
        match self {
            Self::Exact(domain) => (true, domain.as_str().len()),
            Self::Below(suffix) => (false, suffix.as_str().len()),
        }
    }
}

impl FromStr for DomainPattern {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(domain) => domain.fmt(f),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

crate::text::serde_as_text!(
    DomainPattern,
    "DomainPattern",
    min = 1,
    max = crate::domain::MAX_CHARACTERS + 2
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_covers_what_lies_below_and_an_exact_name_beats_it() {
        let domain = Domain::parse("im.partner.example").unwrap();
        let patterns = ["*.example", "im.partner.example", "*.partner.example", "partner.example"]
            .map(|text| DomainPattern::parse(text).unwrap());
        let mut covering: Vec<_> = patterns.iter().filter(|p| p.covers(&domain)).collect();
        covering.sort_by_key(|p| std::cmp::Reverse(p.specificity()));
        let names: Vec<_> = covering.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["im.partner.example", "*.partner.example", "*.example"]);
    }

    #[test]
    fn a_star_stands_only_in_front_of_a_suffix() {
        for text in ["*", "*.", "a.*.example", "*a.example", "**.example"] {
            assert!(DomainPattern::parse(text).is_err(), "{text}");
        }
    }
}
