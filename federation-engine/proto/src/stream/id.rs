//! Stream identifiers.

use std::fmt;

/// ID of a stream: 128 bits in lower-case hexadecimal.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StreamId(String);

impl StreamId {
    /// The ID of `random`, which must come from a cryptographic generator, so that it is unpredictable and does not repeat
    /// (RFC 6120 §4.7.3, §13.11).
    pub fn new(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6120_4_7_3_ids_keep_all_bits_and_are_of_one_length() {
        assert_eq!(StreamId::new(0).to_string(), "0".repeat(32));
        assert_eq!(StreamId::new(u128::MAX).to_string(), "f".repeat(32));
    }
}
