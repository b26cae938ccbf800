//! Small stanzas with much white space between them, for a receiver that does not read. Each queued stanza may keep the
//! buffer in which it arrived.

use s2s_peer::error::Result;

use super::aim::{Aim, Opened};
use super::connections::{message, opened_for_writing, repeat};
use super::tally::Tally;

/// White space after each stanza: a read buffer of most servers.
const GAP: usize = 64 * 1024;

/// Sends such stanzas on authenticated streams.
pub(super) fn white_space(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    let gap = " ".repeat(GAP);
    repeat(aim, tally, |thread, _| {
        let Opened { mut stream, .. } = aim.authenticated(&aim.from, &tls, tally)?;
        opened_for_writing(&mut stream)?;
        while !tally.is_over() {
            let stanza = message(&aim.from, &aim.domain, thread, "") + &gap;
            stream.send(&stanza)?;
            tally.sent(stanza.len());
        }
        Ok(())
    });
    Ok(())
}
