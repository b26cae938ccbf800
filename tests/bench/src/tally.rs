//! Counts the stanzas that arrive: every stanza complete, none missing, none twice, none out of order.

use memchr::memmem::Finder;

use super::load::{ID_DIGITS, ID_PREFIX};

/// More bytes than any stanza of the load has. A longer element is not part of the load.
const LONGEST: usize = 64 * 1024;
/// Maximum bytes of unexpected input that a message repeats.
const EXCERPT: usize = 300;

/// The first difference between what was sent and what arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// The stanza is not the next one.
    #[error("expected number {expected}, received: {got}")]
    Sequence {
        /// The next number.
        expected: u64,
        /// The beginning of the received data.
        got: String,
    },
    /// Bytes without an end, which are no stanza.
    #[error("no end of a message within {LONGEST} bytes, which begin with {got}")]
    NoMessage {
        /// The beginning of the received data.
        got: String,
    },
}

/// Counts messages in a stream of bytes.
#[derive(Debug)]
pub(crate) struct Tally {
    pending: Vec<u8>,
    next: u64,
    end: Finder<'static>,
    id: Finder<'static>,
}

impl Tally {
    /// Expects messages numbered from `first` on.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            pending: Vec::new(),
            next: first,
            end: Finder::new(b"</message>"),
            id: Finder::new(ID_PREFIX.as_bytes()),
        }
    }

    /// Reads the next bytes, and returns the number of the message that is expected now.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<u64, Disorder> {
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        while let Some(at) = self.end.find(rest) {
            let Some((message, after)) = rest.split_at_checked(at + self.end.needle().len()) else {
                break;
            };
            if number(&self.id, message) != Some(self.next) {
                return Err(Disorder::Sequence { expected: self.next, got: excerpt(message) });
            }
            self.next += 1;
            rest = after;
        }
        if rest.len() > LONGEST {
            return Err(Disorder::NoMessage { got: excerpt(rest) });
        }
        let counted = self.pending.len() - rest.len();
        self.pending.drain(..counted);
        Ok(self.next)
    }

    /// The beginning of the data that arrived after the last complete message.
    pub(crate) fn remainder(&self) -> String {
        excerpt(&self.pending)
    }
}

fn number(id: &Finder<'_>, message: &[u8]) -> Option<u64> {
    let from = id.find(message)? + id.needle().len();
    let digits = message.get(from..from + ID_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..EXCERPT).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Size, encode};

    #[test]
    fn cutting_the_bytes_anywhere_changes_nothing() {
        let bytes = encode(Size::Small, 7, 3);
        for cut in 0..bytes.len() {
            let mut tally = Tally::new(7);
            tally.feed(&bytes[..cut]).unwrap();
            assert_eq!(tally.feed(&bytes[cut..]), Ok(10));
        }
    }

    #[test]
    fn a_missing_a_repeated_and_a_torn_message_are_found() {
        let gap = [encode(Size::Small, 0, 1), encode(Size::Small, 2, 1)].concat();
        let twice = [encode(Size::Small, 0, 1), encode(Size::Small, 0, 1)].concat();
        for wrong in [gap, twice] {
            let found = Tally::new(0).feed(&wrong);
            assert!(matches!(found, Err(Disorder::Sequence { expected: 1, .. })), "{found:?}");
        }
        let mut torn = encode(Size::Small, 0, 1);
        torn.truncate(199);
        assert_eq!(Tally::new(0).feed(&torn), Ok(0));
    }
}
