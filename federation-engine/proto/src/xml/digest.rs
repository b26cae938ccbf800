//! Namespace names as numbers. Equal names have equal numbers. Different names have different ones, except with a
//! probability of 2^-64: the hash is keyed, so no peer can choose names that collide. A collision would refuse the
//! element of the peer that sent it as if it had one attribute twice.

use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use super::steps;
use super::tag::{Span, ValueSpan};

/// Represents a namespace name.
pub(super) type NameId = u64;

/// The number of a decoded namespace name.
pub(super) fn of(name: &str, keys: &RandomState) -> NameId {
    steps::count(name.len());
    let mut hasher = keys.build_hasher();
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// Whether no namespace name can contain it: a namespace name is a URI reference (Namespaces in XML §2). Parsers that
/// store namespace and local name in one string separate them by such a character, and reject a name that contains
/// their separator: libexpat does so for Prosody and ejabberd.
fn separates(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Whether a name contains a character that no name can contain.
pub(super) fn contains_separator(name: &str) -> bool {
    steps::count(name.len());
    // Nearly every name consists of visible ASCII only, which a check without a branch for each byte finds out at once.
    let visible = name.bytes().fold(true, |all, byte| all & matches!(byte, 0x21..=0x7E));
    !visible && name.contains(separates)
}

/// A namespace name of several portions, which is read as they arrive. It is longer than every name that the engine
/// knows.
#[derive(Debug)]
pub(super) struct LongName {
    /// First byte that was not read.
    at: usize,
    hasher: DefaultHasher,
    separator: bool,
}

/// A long namespace name that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digest {
    pub(super) id: NameId,
    /// It contains a character that no name can contain.
    pub(super) separator: bool,
}

impl LongName {
    /// The name begins at this byte.
    pub(super) fn from(start: usize, keys: &RandomState) -> Self {
        Self { at: start, hasher: keys.build_hasher(), separator: false }
    }

    /// Reads up to `end`, where neither a character nor a reference is divided.
    pub(super) fn advance(&mut self, buf: &[u8], end: usize) {
        let span = Span::new(self.at, end);
        self.at = end.max(self.at);
        // White space, which decoding normalises, is refused in any form.
        let name = ValueSpan { span, plain: false }.decode(span.text(buf));
        self.separator |= contains_separator(&name);
        steps::count(name.len());
        self.hasher.write(name.as_bytes());
    }

    /// The whole name was read.
    pub(super) fn complete(&self) -> Digest {
        Digest { id: self.hasher.finish(), separator: self.separator }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_number_in_any_portions_and_however_it_is_written() {
        let keys = RandomState::new();
        let (written, name) = ("urn:&#x61;b&amp;é", "urn:ab&é");
        for cut in [0, 4, 10, 11, 16, written.len()] {
            let mut long = LongName::from(0, &keys);
            long.advance(written.as_bytes(), cut);
            long.advance(written.as_bytes(), written.len());
            assert_eq!(long.complete().id, of(name, &keys), "{cut}");
            assert!(!long.complete().separator);
        }
        assert_ne!(of("urn:a", &keys), of("urn:b", &keys));
        assert_ne!(of("urn:a", &keys), of("urn:a", &RandomState::new()));
    }
}
