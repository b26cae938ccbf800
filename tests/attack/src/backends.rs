//! A hostile backend: it floods the engine, or sends garbage, while the good peer's domain has another backend.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use s2s_peer::error::{PeerError, Result};

use super::aim::{Aim, Opened};
use super::connections::{opened_for_writing, repeat};
use super::tally::Tally;

/// Requests in one write.
const BATCH: usize = 100;
/// Maximum time to wait for the end of a stream.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are neither XML nor TLS, and XML that streams forbid.
const GARBAGE: [&[u8]; 3] = [
    &[0xff; 4096],
    b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y 'z'>]><stream:stream>",
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' \x00\x01<<<",
];

/// Requests to a domain that is down, as fast as the engine takes them. The engine answers each of them.
pub(super) fn flood(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    let (from, to) = (&aim.from, &aim.domain);
    let request = format!(
        "<iq type='get' from='x@{from}/r' to='y@{to}' id='f'><ping xmlns='urn:xmpp:ping'/></iq>"
    );
    let batch = request.repeat(BATCH);
    repeat(aim, tally, |_, _| {
        let Opened { mut stream, .. } = aim.authenticated(from, &tls, tally)?;
        opened_for_writing(&mut stream)?;
        while !tally.is_over() {
            stream.send(&batch)?;
            tally.sent(batch.len());
        }
        Ok(())
    });
    Ok(())
}

/// Garbage in place of a stream, and on a stream that is authenticated.
pub(super) fn garbage(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    repeat(aim, tally, |thread, time| {
        let failed = || PeerError::io("sending garbage");
        let Some(raw) = GARBAGE.get((thread + time) % (GARBAGE.len() + 1)) else {
            let Opened { mut stream, .. } = aim.authenticated(&aim.from, &tls, tally)?;
            opened_for_writing(&mut stream)?;
            stream.send("<message from='<'/>")?;
            tally.ended();
            return Ok(());
        };
        let mut tcp = aim.connect()?;
        tally.opened();
        tcp.set_read_timeout(Some(END_TIMEOUT)).map_err(failed())?;
        tcp.write_all(raw).map_err(failed())?;
        tally.sent(raw.len());
        let mut answer = Vec::new();
        // A reset is an answer as well.
        let _ = tcp.read_to_end(&mut answer);
        tally.received(answer.len());
        tally.ended();
        Ok(())
    });
    Ok(())
}
