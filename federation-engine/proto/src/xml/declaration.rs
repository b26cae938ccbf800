//! The grammar of an XML declaration (XML 1.0 §2.8).

use super::chars::{self, Place};
use super::error::{Malformation, XmlError};

/// Checks the text between `<?xml` and `?>`.
pub(super) fn check(text: &[u8]) -> Result<(), XmlError> {
    if !text.is_ascii() {
        return Err(Malformation::Declaration.into());
    }
    // Their order is fixed, and only the first is mandatory.
    let mut expected: &[&[u8]] = &[b"version", b"encoding", b"standalone"];
    let mut rest = text;
    loop {
        let after = trimmed(rest);
        let spaced = after.len() < rest.len();
        if after.is_empty() {
            break;
        }
        let (name, value, after) = attribute(after).ok_or(Malformation::Declaration)?;
        rest = after;
        let index = expected.iter().position(|known| *known == name);
        let allowed = match name {
            b"version" => value == b"1.0",
            b"encoding" if !value.eq_ignore_ascii_case(b"UTF-8") => {
                return Err(XmlError::UnsupportedEncoding);
            }
            b"encoding" => expected.len() == 2,
            b"standalone" => expected.len() < 3 && matches!(value, b"yes" | b"no"),
            _ => false,
        };
        let Some(index) = index.filter(|_| spaced && allowed) else {
            return Err(Malformation::Declaration.into());
        };
        expected = expected.get(index + 1..).unwrap_or_default();
    }
    if expected.len() == 3 { Err(Malformation::Declaration.into()) } else { Ok(()) }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let count = bytes.iter().take_while(|byte| chars::is_space(**byte)).count();
    bytes.get(count..).unwrap_or_default()
}

/// Name, value, and what follows. The three names that may occur consist of letters.
fn attribute(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (name, rest) = bytes.split_at_checked(length)?;
    let (quote, rest) = trimmed(trimmed(rest).strip_prefix(b"=")?).split_first()?;
    let length = memchr::memchr(*quote, rest).filter(|_| matches!(quote, b'"' | b'\''))?;
    let (value, rest) = rest.split_at_checked(length)?;
    chars::check(value, Place::Attribute).ok()?;
    Some((name, value, rest.get(1..).unwrap_or_default()))
}
