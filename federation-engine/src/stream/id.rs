//! Stream identifiers.

use std::fmt;

/// ID of a stream: 128 bits of a cryptographic generator in lower-case hexadecimal, so that it is unpredictable and does
/// not repeat (RFC 6120 §4.7.3, §13.11).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StreamId(String);

impl StreamId {
    /// A new ID.
    pub fn generate() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
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
    fn rfc6120_4_7_3_ids_are_long_and_do_not_repeat() {
        let ids: std::collections::HashSet<_> =
            (0..1000).map(|_| StreamId::generate().to_string()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
