//! A domain name as XMPP compares it (RFC 7622 §3.2).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest domainpart in octets (RFC 7622 §3.2).
pub const MAX_OCTETS: usize = 1023;
/// Longest domain that DNS allows (RFC 1035 §2.3.4), in characters, in any form, including one trailing dot: a U-label is
/// never longer than its A-label. This is the limit of the schema; [`MAX_OCTETS`] is the limit for what peers send.
pub const MAX_CHARACTERS: usize = 254;

/// A normalised domainpart: lower case, U-labels, no trailing dot. Two domains are equal exactly if they are the same
/// server for XMPP. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Domain(Arc<str>);

/// Why a text is not a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DomainError {
    /// No label, or an empty label.
    #[error("a domain must have at least one label, and no empty label")]
    EmptyLabel,
    /// More than [`MAX_OCTETS`], or a label above 63 octets in A-label form.
    #[error("a domain must have at most 1023 octets, and each label at most 63 in its ASCII form")]
    TooLong,
    /// Characters that no domain label may have, or an invalid A-label.
    #[error(
        "a domain must consist of letters, digits and hyphens, or of valid international labels"
    )]
    Malformed,
    /// An IP address. RFC 6120 permits it, but it has no certificate and no SRV record, so it cannot federate.
    #[error("an IP address cannot federate; use a DNS name")]
    IpAddress,
}

impl Domain {
    /// Parses and normalises: removes one trailing dot, maps case and width, and converts A-labels to U-labels.
    ///
    /// # Errors
    /// When the text is not a domain; see [`DomainError`].
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::EmptyLabel);
        }
        if text.len() > MAX_OCTETS {
            return Err(DomainError::TooLong);
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() || text.starts_with('[') || text.contains(':')
        {
            return Err(DomainError::IpAddress);
        }
        if is_canonical_ascii(text) {
            check_labels(text)?;
            return Ok(Self(Arc::from(text)));
        }
        // UTS 46 maps case, width and the ideographic full stops; the STD3 rules reject everything that is not a host name.
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| DomainError::Malformed)?;
        // Full-width digits and full stops may turn into an IP address only here.
        if ascii.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(DomainError::IpAddress);
        }
        check_labels(&ascii)?;
        let (unicode, valid) = idna::domain_to_unicode(&ascii);
        valid.map_err(|_| DomainError::Malformed)?;
        if unicode.len() > MAX_OCTETS {
            return Err(DomainError::TooLong);
        }
        Ok(Self(Arc::from(unicode)))
    }

    /// The normalised text, with U-labels, as used in XMPP addresses.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form for DNS and certificates: A-labels, no trailing dot.
    pub fn to_ascii(&self) -> String {
        idna::domain_to_ascii(&self.0).unwrap_or_else(|_| self.0.to_string())
    }

    /// Whether this domain is below `suffix`; `suffix` itself is not.
    pub fn is_below(&self, suffix: &Domain) -> bool {
        self.0.strip_suffix(suffix.as_str()).is_some_and(|head| head.ends_with('.'))
    }
}

/// Lower-case ASCII without A-labels needs no mapping; this is the case for nearly every domain.
fn is_canonical_ascii(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && !text.contains("xn--")
}

fn check_labels(ascii: &str) -> Result<(), DomainError> {
    for label in ascii.split('.') {
        if label.is_empty() {
            return Err(DomainError::EmptyLabel);
        }
        if label.len() > 63 {
            return Err(DomainError::TooLong);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(DomainError::Malformed);
        }
    }
    Ok(())
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

crate::text::serde_as_text!(Domain, "Domain", min = 1, max = crate::domain::MAX_CHARACTERS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7622_3_2_comparison_ignores_case_width_form_and_one_trailing_dot() {
        let canonical = Domain::parse("bücher.example").unwrap();
        for spelling in
            ["BÜCHER.example", "xn--bcher-kva.example", "bücher.example.", "bücher。example"]
        {
            assert_eq!(Domain::parse(spelling).unwrap(), canonical, "{spelling}");
        }
        assert_eq!(canonical.to_ascii(), "xn--bcher-kva.example");
        assert_eq!(Domain::parse("Example.COM.").unwrap().as_str(), "example.com");
    }

    #[test]
    fn what_is_no_domain_is_refused_with_its_reason() {
        for (text, why) in [
            ("", DomainError::EmptyLabel),
            (".", DomainError::EmptyLabel),
            ("a..example", DomainError::EmptyLabel),
            ("example..", DomainError::EmptyLabel),
            ("192.0.2.1", DomainError::IpAddress),
            ("192.0.2\u{FF11}.1", DomainError::IpAddress),
            ("\u{FF11}92\u{3002}0\u{3002}2\u{3002}1", DomainError::IpAddress),
            ("[2001:db8::1]", DomainError::IpAddress),
            ("a b.example", DomainError::Malformed),
            ("user@example.com", DomainError::Malformed),
            ("-a.example", DomainError::Malformed),
        ] {
            assert_eq!(Domain::parse(text), Err(why), "{text:?}");
        }
        assert_eq!(
            Domain::parse(&format!("{}.example", "a".repeat(64))),
            Err(DomainError::TooLong)
        );
        assert_eq!(Domain::parse(&"a.".repeat(600)), Err(DomainError::TooLong));
    }

    #[test]
    fn a_suffix_never_covers_itself_or_a_partial_label() {
        let suffix = Domain::parse("example.com").unwrap();
        assert!(Domain::parse("a.b.example.com").unwrap().is_below(&suffix));
        assert!(!Domain::parse("example.com").unwrap().is_below(&suffix));
        assert!(!Domain::parse("badexample.com").unwrap().is_below(&suffix));
    }
}
