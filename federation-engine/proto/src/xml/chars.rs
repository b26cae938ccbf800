//! Which characters and references may occur where (XML 1.0 §2.2, §2.3, §2.4, §4.1).

use super::error::{Malformation, XmlError};
use super::{names, steps};

/// Production 2, `Char`.
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether a name without a colon can begin with it (XML 1.0 fourth edition, production 5; Namespaces in XML §4, `NCName`).
pub(crate) fn is_name_start(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() || c == '_' } else { names::is_letter(c) }
}

/// Whether it may occur in a name without a colon after its beginning (production 4, `NameChar`).
pub(crate) fn is_name_char(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
    } else {
        names::is_following(c)
    }
}

/// Whether the byte is white space (production 3).
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The context of checked characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Character data: references are parsed, `]]>` is rejected (§2.4).
    Text,
    /// Attribute value without its quotes: references are parsed, `<` is rejected (§3.1).
    Attribute,
    /// CDATA section: neither.
    Cdata,
}

const PLAIN: u8 = 0;
const CONTROL: u8 = 1;
const AMPERSAND: u8 = 2;
const LESS_THAN: u8 = 3;
const BRACKET: u8 = 4;
const SPACE: u8 = 5;
/// First byte of the UTF-8 form of U+F000 to U+FFFF, among them U+FFFE and U+FFFF.
const HIGH: u8 = 6;

/// The closer check that each byte needs.
static CLASS: [u8; 256] = classes();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: an index out of range does not compile
const fn classes() -> [u8; 256] {
    let mut table = [PLAIN; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        table[byte] = match byte {
            0x09 | 0x0A | 0x0D => SPACE,
            0x00..=0x1F => CONTROL,
            0x26 => AMPERSAND,
            0x3C => LESS_THAN,
            0x5D => BRACKET,
            0xEF => HIGH,
            _ => PLAIN,
        };
        byte += 1;
    }
    table
}

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(PLAIN)
}

/// Bytes that are checked together.
const CHUNK: usize = 32;

/// Whether none of the bytes needs a closer check. It has no branch, so that the compiler uses vector instructions; the
/// text of a stanza is most of its bytes, and most of it is plain.
fn is_plain(chunk: &[u8; CHUNK]) -> bool {
    let special = |byte: u8| {
        u8::from(byte < 0x20)
            | u8::from(byte == b'&')
            | u8::from(byte == b'<')
            | u8::from(byte == b']')
            | u8::from(byte == 0xEF)
    };
    chunk.iter().fold(0, |seen, byte| seen | special(*byte)) == 0
}

/// The first byte that needs a closer check.
fn next_special(bytes: &[u8]) -> Option<usize> {
    let plain = bytes.as_chunks().0.iter().take_while(|chunk| is_plain(chunk)).count() * CHUNK;
    let rest = bytes.get(plain..)?;
    rest.iter().position(|byte| class(*byte) != PLAIN).map(|at| plain + at)
}

/// Checks a run of valid UTF-8. Returns whether an attribute value equals its bytes: no reference, and no white space
/// that parsing would convert to a space (§3.3.3).
pub(super) fn check(bytes: &[u8], place: Place) -> Result<bool, XmlError> {
    check_portion(bytes, place, true).map(|portion| portion.plain)
}

/// The checked part of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portion {
    /// Bytes that were checked.
    pub(super) checked: usize,
    /// They equal their value, as [`check`] says.
    pub(super) plain: bool,
}

/// Checks the beginning of a run. Unless the run is `complete`, it stops before what bytes that follow decide.
pub(super) fn check_portion(
    bytes: &[u8],
    place: Place,
    complete: bool,
) -> Result<Portion, XmlError> {
    steps::count(bytes.len());
    let mut plain = true;
    let mut rest = bytes;
    while let Some(at) = next_special(rest) {
        let from = rest.get(at..).unwrap_or_default();
        let Some((special, after)) = from.split_first() else { break };
        if !complete && !is_decided(*special, after, place) {
            return Ok(Portion { checked: bytes.len() - from.len(), plain });
        }
        rest = after;
        match class(*special) {
            CONTROL => return Err(Malformation::Character.into()),
            SPACE => plain = false,
            AMPERSAND if place != Place::Cdata => {
                plain = false;
                let end = reference_end(rest).ok_or(Malformation::Reference)?;
                let (name, after) = rest.split_at_checked(end).ok_or(Malformation::Reference)?;
                check_reference(name)?;
                rest = after.get(1..).unwrap_or_default();
            }
            LESS_THAN if place == Place::Attribute => {
                return Err(Malformation::LessThanInAttribute.into());
            }
            BRACKET if place == Place::Text && rest.starts_with(b"]>") => {
                return Err(Malformation::CdataEnd.into());
            }
            HIGH if matches!(rest, [0xBF, 0xBE | 0xBF, ..]) => {
                return Err(Malformation::Character.into());
            }
            _ => {}
        }
    }
    Ok(Portion { checked: bytes.len(), plain })
}

/// Whether the known bytes after a special one suffice to check it.
fn is_decided(special: u8, after: &[u8], place: Place) -> bool {
    match class(special) {
        AMPERSAND if place != Place::Cdata => {
            after.len() >= MAX_REFERENCE || reference_end(after).is_some()
        }
        BRACKET | HIGH => after.len() >= 2,
        _ => true,
    }
}

/// Position of the `;` of a reference in the bytes after its `&`.
fn reference_end(after: &[u8]) -> Option<usize> {
    after.iter().take(MAX_REFERENCE).position(|byte| *byte == b';')
}

/// Maximum digits of a character reference; no character needs more. More leading zeros are valid XML that rxml
/// rejects.
const MAX_DIGITS: usize = 8;
/// Last position of the `;` of a reference, counted from after the `&`.
const MAX_REFERENCE: usize = "#x".len() + MAX_DIGITS + 1;

fn check_reference(name: &[u8]) -> Result<(), XmlError> {
    match name {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => Ok(()),
        [b'#', b'x', digits @ ..] => character(digits, 16),
        [b'#', digits @ ..] => character(digits, 10),
        [first, rest @ ..]
            if first.is_ascii_alphabetic() && rest.iter().all(u8::is_ascii_alphanumeric) =>
        {
            Err(XmlError::Restricted("entities other than the predefined ones"))
        }
        _ => Err(Malformation::Reference.into()),
    }
}

fn character(digits: &[u8], radix: u32) -> Result<(), XmlError> {
    let mut code: u32 = 0;
    for digit in digits {
        let value = char::from(*digit).to_digit(radix).ok_or(Malformation::Reference)?;
        code = code.saturating_mul(radix).saturating_add(value);
    }
    if !(1..=MAX_DIGITS).contains(&digits.len()) {
        return Err(Malformation::Reference.into());
    }
    match char::from_u32(code) {
        Some(c) if is_xml_char(c) => Ok(()),
        _ => Err(Malformation::Character.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_plain_when_all_its_bytes_are() {
        for byte in 0..=u8::MAX {
            for at in [0, 1, CHUNK - 1] {
                let mut chunk = [b'x'; CHUNK];
                chunk[at] = byte;
                assert_eq!(is_plain(&chunk), class(byte) == PLAIN, "{byte:#x} at {at}");
                let behind = [&[b'x'; CHUNK][..], &chunk].concat();
                let expected = (class(byte) != PLAIN).then_some(CHUNK + at);
                assert_eq!(next_special(&behind), expected, "{byte:#x} at {at}");
            }
        }
    }
}
