//! XMPP addresses (RFC 7622) as far as an edge looks at them: the domainpart decides everything.

use std::fmt;

use crate::{Domain, DomainError};

/// The domainpart of an address as written: what follows the first `@` of what precedes the first `/` (RFC 7622 §3.2).
pub fn domainpart(address: &str) -> &str {
    let bare = address.split_once('/').map_or(address, |(bare, _)| bare);
    bare.split_once('@').map_or(bare, |(_, domain)| domain)
}

/// Whether a part is there and empty, which makes a text no address (RFC 7622 §3.3, §3.4).
fn has_empty_part(address: &str) -> bool {
    let (bare, resource) =
        address.split_once('/').map_or((address, None), |(bare, part)| (bare, Some(part)));
    bare.starts_with('@') || resource == Some("")
}

/// Whether an address as written belongs to `domain`. Allocates only when the spelling is not the canonical one.
pub fn belongs_to(address: &str, domain: &Domain) -> bool {
    if has_empty_part(address) {
        return false;
    }
    let written = domainpart(address);
    written == domain.as_str() || Domain::parse(written).is_ok_and(|parsed| parsed == *domain)
}

/// Most octets of each part (RFC 7622 §3.1).
const MAX_PART: usize = crds::domain::MAX_OCTETS;

/// Whether localpart and resourcepart of an address have the lengths of RFC 7622 §3.3 and §3.4 and none of the characters
/// that it forbids: in a localpart white space and `"&'/:<>@` (§3.3.1), in either control characters (RFC 8264 §9.12). A
/// server that prepares addresses refuses others, and some refuse the stream with them. The domainpart is judged by
/// [`Domain`].
///
/// The path of every stanza: no allocation.
pub fn is_well_formed(address: &str) -> bool {
    let (bare, resource) =
        address.split_once('/').map_or((address, None), |(bare, part)| (bare, Some(part)));
    let local = bare.split_once('@').map(|(local, _)| local);
    let fits = |part: &str| (1..=MAX_PART).contains(&part.len());
    resource.is_none_or(|part| fits(part) && !part.contains(char::is_control))
        && local.is_none_or(|part| fits(part) && !part.contains(is_forbidden_in_local))
}

fn is_forbidden_in_local(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@')
}

/// An address with a normalised domainpart; localpart and resourcepart as written.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Jid {
    local: Option<String>,
    domain: Domain,
    resource: Option<String>,
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JidError {
    /// RFC 7622 §3.2.
    #[error("the domainpart is not valid: {0}")]
    Domain(#[from] DomainError),
    /// RFC 7622 §3.3, §3.4: a part that is present has 1 to 1023 octets.
    #[error("localpart and resourcepart have 1 to 1023 octets when they are present")]
    Part,
}

impl Jid {
    /// Parses an address.
    ///
    /// # Errors
    /// See [`JidError`].
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let (bare, resource) =
            text.split_once('/').map_or((text, None), |(bare, resource)| (bare, Some(resource)));
        let (local, domain) =
            bare.split_once('@').map_or((None, bare), |(local, domain)| (Some(local), domain));
        for part in [local, resource].into_iter().flatten() {
            if part.is_empty() || part.len() > MAX_PART {
                return Err(JidError::Part);
            }
        }
        Ok(Self {
            local: local.map(str::to_owned),
            domain: Domain::parse(domain)?,
            resource: resource.map(str::to_owned),
        })
    }

    /// The localpart.
    pub fn local(&self) -> Option<&str> {
        self.local.as_deref()
    }

    /// The domainpart.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The resourcepart.
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(local) = &self.local {
            write!(f, "{local}@")?;
        }
        write!(f, "{}", self.domain)?;
        if let Some(resource) = &self.resource {
            write!(f, "/{resource}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7622_3_2_the_resource_is_cut_at_the_first_slash_before_anything_else() {
        for (address, domain) in [
            ("example.com", "example.com"),
            ("u@example.com", "example.com"),
            ("u@example.com/r", "example.com"),
            ("example.com/r", "example.com"),
            ("example.com/u@evil.example", "example.com"),
            ("u@example.com/a@b/c@d", "example.com"),
            ("u@evil.example@example.com", "evil.example@example.com"),
            ("", ""),
            ("@", ""),
            ("/", ""),
        ] {
            assert_eq!(domainpart(address), domain, "{address:?}");
        }
    }

    #[test]
    fn rfc7622_3_2_an_address_belongs_to_its_domain_in_every_spelling_and_to_no_other() {
        let domain = Domain::parse("bücher.example").unwrap();
        for address in [
            "u@bücher.example/r",
            "BÜCHER.example",
            "u@xn--bcher-kva.example",
            "u@bücher.example./r",
        ] {
            assert!(belongs_to(address, &domain), "{address}");
        }
        for address in [
            "u@bücher.example.evil.example",
            "sub.bücher.example",
            "u@bucher.example",
            "bücher.example@evil.example",
            "evil.example/bücher.example",
            "bücher.example..",
            "@bücher.example",
            "u@bücher.example/",
            "",
        ] {
            assert!(!belongs_to(address, &domain), "{address}");
        }
    }

    #[test]
    fn rfc7622_3_3_and_3_4_forbidden_characters_and_lengths() {
        let longest = "\u{E9}".repeat(511) + "x";
        for address in [
            "example.com",
            "u@example.com",
            "u@example.com/r",
            "\u{E9}\u{4E00}!#$%*+-.=?^_`{|}~@example.com",
            "u@example.com/a b\"&'/:<>@\u{1F600}",
            &format!("{longest}@example.com"),
            &format!("u@example.com/{longest}"),
        ] {
            assert!(is_well_formed(address), "{address}");
        }
        for c in "\"&':<> \t\n\u{0}\u{1F}\u{7F}\u{80}\u{9F}\u{A0}\u{2003}\u{3000}".chars() {
            for address in [format!("{c}@example.com"), format!("a{c}b@example.com/r")] {
                assert!(!is_well_formed(&address), "{address:?}");
            }
        }
        for c in "\t\n\u{0}\u{1F}\u{7F}\u{80}\u{9F}".chars() {
            assert!(!is_well_formed(&format!("u@example.com/a{c}")), "{c:?}");
        }
        for address in [
            "@example.com",
            "example.com/",
            "u@example.com/",
            &format!("{longest}x@example.com"),
            &format!("u@example.com/{longest}x"),
        ] {
            assert!(!is_well_formed(address), "{address}");
        }
    }

    #[test]
    fn rfc7622_parts_that_are_present_are_not_empty() {
        assert_eq!(Jid::parse("@example.com"), Err(JidError::Part));
        assert_eq!(Jid::parse("u@example.com/"), Err(JidError::Part));
        assert_eq!(Jid::parse(&format!("{}@a.example", "u".repeat(1024))), Err(JidError::Part));
        assert!(matches!(Jid::parse("u@"), Err(JidError::Domain(_))));
        let jid = Jid::parse("u@Example.COM/r/s@t").unwrap();
        assert_eq!(jid.to_string(), "u@example.com/r/s@t");
        assert_eq!((jid.local(), jid.resource()), (Some("u"), Some("r/s@t")));
    }
}
