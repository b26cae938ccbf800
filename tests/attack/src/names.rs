//! One wildcard certificate with many names: each is a separate domain to the target, and may have a stream behind it.

use s2s_peer::error::Result;
use s2s_peer::namespace::DIALBACK;

use super::aim::{Aim, Opened};
use super::connections::{Held, crowd, message};
use super::tally::Tally;

/// Number of names on one connection.
pub(crate) const NAMES: usize = 64;

/// Opens streams that a certificate for `*.from` authenticates for one name, and that dialback with the same
/// certificate authenticates for others (XEP-0344). Sends a stanza from each name.
pub(super) fn wildcard(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    crowd(aim, tally, |number| {
        let name = |place: usize| format!("n{number}-{place}.{}", aim.from);
        let Opened { mut stream, handle, .. } = aim.authenticated(&name(0), &tls, tally)?;
        for place in 0..NAMES {
            let (from, to) = (name(place), &aim.domain);
            if place > 0 {
                let request = format!("<db:result from='{from}' to='{to}'>00</db:result>");
                stream.send(&request)?;
                tally.sent(request.len());
                let answer = stream.element("the answer to a dialback request")?;
                if !answer.is(DIALBACK, "result") || answer.attribute("type") != Some("valid") {
                    break;
                }
            }
            let stanza = message(&from, to, place, "");
            stream.send(&stanza)?;
            tally.sent(stanza.len());
        }
        Ok(Held::new(handle, Some(stream)))
    });
    Ok(())
}
