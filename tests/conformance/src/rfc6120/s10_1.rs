//! RFC 6120 §10.1: order.

use s2s_peer::stream::Stream;

use crate::Check;
use crate::ending::rest;
use crate::outcome::{Finding, ensure};
use crate::target::{EXTERNAL_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[Check {
    id: 58,
    section: "RFC 6120 §10.1",
    sentence: "stanzas of a pair arrive in order, even those queued before authentication or sent after a reconnection",
    run: order,
}];

/// Number of stanzas before and after the reconnection.
const EACH: usize = 50;

fn order(target: &Target) -> Finding {
    let inside = target.inside()?;
    let mut sending = inside.stream_to(&target.peer)?;
    send(target, &mut sending, 0)?;
    let mut stream = target.accept_dialled(&[&target.peer], EXTERNAL_FEATURES)?.admit()?.stream;
    arrived(&mut stream, 0)?;
    stream.send("</stream:stream>")?;
    rest(&mut stream)?;
    send(target, &mut sending, EACH)?;
    let mut stream = target.accept_dialled(&[&target.peer], EXTERNAL_FEATURES)?.admit()?.stream;
    arrived(&mut stream, EACH)
}

fn send(target: &Target, sending: &mut Stream, first: usize) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    for number in first..first + EACH {
        sending.send(format!(
            "<message from='juliet@{domain}' to='romeo@{peer}' id='s58-{number}'><body>x</body></message>"
        ))?;
    }
    Ok(())
}

fn arrived(stream: &mut Stream, first: usize) -> Finding {
    for number in first..first + EACH {
        let stanza = stream.element("the next stanza in order")?;
        ensure(stanza.attribute("id") == Some(&format!("s58-{number}")), || {
            format!("expected number {number}, received: {stanza}")
        })?;
    }
    Ok(())
}
