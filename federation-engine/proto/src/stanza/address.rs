//! XMPP addresses (RFC 7622), as far as an edge needs them: the domainpart decides everything.

use std::fmt;

use super::preparation;
use crate::{Domain, DomainError};

/// The parts of an address as written (RFC 7622 §3.1): the resourcepart follows the first `/`, the localpart precedes
/// the first `@` of the rest.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    local: Option<&'a str>,
    domain: &'a str,
    resource: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(address: &'a str) -> Self {
        let (bare, resource) = match cut(address, b'/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (address, None),
        };
        match cut(bare, b'@') {
            Some((local, domain)) => Self { local: Some(local), domain, resource },
            None => Self { local: None, domain: bare, resource },
        }
    }
}

/// The text before and after an ASCII character.
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let index = memchr::memchr(at, text.as_bytes())?;
    Some((text.get(..index)?, text.get(index.checked_add(1)?..)?))
}

/// The domainpart of an address as written.
pub fn domainpart(address: &str) -> &str {
    Parts::of(address).domain
}

/// Whether an address belongs to `domain`, which it spells canonically. No other answer than of [`belongs_to`], for fewer
/// addresses: the usual case on the path of every stanza.
pub(crate) fn is_canonical(address: &[u8], domain: &Domain) -> bool {
    let domain = domain.as_str().as_bytes();
    let bare = match memchr::memchr(b'/', address).and_then(|at| address.split_at_checked(at)) {
        Some((_, b"/")) => return false,
        Some((bare, _)) => bare,
        None => address,
    };
    match memchr::memchr(b'@', bare).and_then(|at| bare.split_at_checked(at)) {
        Some((local, [_, rest @ ..])) => !local.is_empty() && rest == domain,
        _ => bare == domain,
    }
}

/// Whether an address as written belongs to `domain`. A text with an empty localpart or resourcepart is not an address
/// (RFC 7622 §3.3, §3.4). Allocates only when the spelling is not canonical.
pub(crate) fn belongs_to(address: &str, domain: &Domain) -> bool {
    let parts = Parts::of(address);
    if parts.local == Some("") || parts.resource == Some("") {
        return false;
    }
    let written = parts.domain;
    written == domain.as_str() || Domain::parse(written).is_ok_and(|parsed| parsed == *domain)
}

/// Most octets of each part (RFC 7622 §3.1).
pub(super) const MAX_PART: usize = crds::domain::MAX_OCTETS;

/// Whether localpart and resourcepart of an address have the lengths of RFC 7622 §3.3 and §3.4 and contain nothing that
/// a server refuses when it prepares them ([`preparation`]): in a localpart white space and `"&'/:<>@` (§3.3.1), in
/// either control characters and mixed directions. Some servers close the stream on such an address. [`Domain`] and
/// [`preparation::keeps`] check the domainpart.
///
/// The path of every stanza: no allocation, and one check of each byte, for ASCII.
pub fn is_well_formed(address: &str) -> bool {
    let parts = Parts::of(address);
    parts.local.is_none_or(|part| passes(part, NOT_IN_LOCAL, preparation::is_localpart))
        && parts
            .resource
            .is_none_or(|part| passes(part, NOT_IN_RESOURCE, preparation::is_resourcepart))
}

fn passes(part: &str, forbidden: u8, wide: fn(&str) -> bool) -> bool {
    let seen = part
        .bytes()
        .fold(0, |seen, byte| seen | CLASSES.get(usize::from(byte)).copied().unwrap_or(NOT_ASCII));
    seen & forbidden == 0
        && (1..=MAX_PART).contains(&part.len())
        && (seen & NOT_ASCII == 0 || wide(part))
}

const NOT_IN_LOCAL: u8 = 1;
const NOT_IN_RESOURCE: u8 = 2;
const NOT_ASCII: u8 = 4;

/// Where an address cannot have which byte.
static CLASSES: [u8; 256] = classes();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: an index out of range does not compile
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    loop {
        table[byte as usize] = if !byte.is_ascii() {
            NOT_ASCII
        } else if byte.is_ascii_control() {
            NOT_IN_LOCAL | NOT_IN_RESOURCE
        } else if is_forbidden_in_local(byte as char) {
            NOT_IN_LOCAL
        } else {
            0
        };
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// RFC 7622 §3.3.1, and the space (RFC 6122 Appendix A.5).
pub(super) const fn is_forbidden_in_local(c: char) -> bool {
    matches!(c, ' ' | '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@')
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
    #[error("a localpart or resourcepart must have 1 to 1023 octets")]
    Part,
}

impl Jid {
    /// Parses an address.
    ///
    /// # Errors
    /// See [`JidError`].
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let Parts { local, domain, resource } = Parts::of(text);
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

    /// The domainpart.
    pub fn domain(&self) -> &Domain {
        &self.domain
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
            let canonical = address.contains("@b\u{fc}cher.example/") || address == domain.as_str();
            assert_eq!(is_canonical(address.as_bytes(), &domain), canonical, "{address}");
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
            assert!(!is_canonical(address.as_bytes(), &domain), "{address}");
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
        assert_eq!((jid.local.as_deref(), jid.resource.as_deref()), (Some("u"), Some("r/s@t")));
    }
}
