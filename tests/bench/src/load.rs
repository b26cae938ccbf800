//! The load: chat messages of two sizes, each with its own id.

use std::fmt::Write as _;

/// The sending domain.
pub const SENDER: &str = "peer.example";
/// The receiving domain.
pub const RECEIVER: &str = "local.example";
/// The local part of the receiving address.
pub const RECIPIENT: &str = "juliet";
/// Precedes the number in every id.
pub const ID_PREFIX: &str = "bench-";
/// Number of digits in an id.
pub const ID_DIGITS: usize = 10;

/// Text like that of a person: words, punctuation, escapes, more than ASCII.
const PROSE: &str = "He jests at scars that never felt a wound. But soft, what light through yonder \
    window breaks? It&apos;s the east &amp; Juliet is the sun… «Arise, fair sun, and kill the envious moon», \
    who is already sick and pale with grief — that thou, her maid, art far more fair than she. ";

/// Size of the stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 200 bytes.
    Small,
    /// 2000 bytes.
    Large,
}

impl Size {
    /// Both sizes.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// Bytes of one stanza.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Small => 200,
            Self::Large => 2_000,
        }
    }
}

/// Encodes `count` stanzas, numbered from `first` on.
pub fn encode(size: Size, first: u64, count: u64) -> Vec<u8> {
    let stanzas = usize::try_from(count).unwrap_or_default();
    let mut text = String::with_capacity(stanzas * size.bytes());
    let body = body(size);
    for number in first..first + count {
        push_message(&mut text, number, &body);
    }
    text.into_bytes()
}

fn push_message(text: &mut String, number: u64, body: &str) {
    let _ = write!(
        text,
        "<message from='romeo@{SENDER}/orchard' to='{RECIPIENT}@{RECEIVER}' type='chat' \
         id='{ID_PREFIX}{number:0ID_DIGITS$}'><body>{body}</body></message>"
    );
}

/// Text that gives a message exactly the required length.
fn body(size: Size) -> String {
    let mut frame = String::new();
    push_message(&mut frame, 0, "");
    let wanted = size.bytes().saturating_sub(frame.len());
    let mut body = PROSE.repeat(wanted / PROSE.len() + 1);
    // Cut at a position that splits neither a character nor an entity reference, then pad.
    let cut = (0..=wanted)
        .rev()
        .find(|&at| body.get(..at).is_some_and(|head| head.rfind('&') <= head.rfind(';')))
        .unwrap_or_default();
    body.truncate(cut);
    body.extend(std::iter::repeat_n('.', wanted - cut));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_have_the_size_that_is_said() {
        for size in Size::ALL {
            let three = encode(size, 41, 3);
            assert_eq!(three.len(), 3 * size.bytes());
            let text = String::from_utf8(three).unwrap();
            assert_eq!(text.matches("</message>").count(), 3);
            assert!(text.contains("id='bench-0000000043'"));
            quick_xml::Reader::from_str(&text).read_event().unwrap();
        }
    }
}
