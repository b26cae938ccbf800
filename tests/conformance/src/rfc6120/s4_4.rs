//! RFC 6120 §4.4: closing a stream.

use s2s_peer::stream::Item;

use crate::Check;
use crate::ending::rest;
use crate::outcome::{Finding, ensure};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 63,
    section: "RFC 6120 §4.4",
    sentence: "a stream is closed by </stream:stream> in both directions, then TLS, then TCP; stanzas \
               that still arrive are processed",
    run: closing,
}];

fn closing(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let stanza = |id| {
        format!("<message from='romeo@{peer}/r' to='juliet@{domain}' id='{id}'><body/></message>")
    };
    let mut stream = target.authenticated()?;
    stream.send(stanza("s63a") + "</stream:stream>")?;
    let (said, orderly) = rest(&mut stream)?;
    ensure(said.contains("</stream:stream>"), || {
        format!("the suite's closing tag was answered with {said:?} and the end of the connection")
    })?;
    ensure(orderly, || "TLS was not closed before TCP".to_owned())?;
    if let Some(inside) = &target.inside {
        inside.received("s63a")?;
    }
    if !target.closes_idle {
        return Ok(());
    }
    let mut stream = target.authenticated()?;
    let closed = stream.receive("the closing tag of an idle stream")?;
    ensure(matches!(closed, Item::End), || format!("the idle stream sent {closed:?}"))?;
    stream.send(stanza("s63b") + "</stream:stream>")?;
    target.inside()?.received("s63b").map(drop).map_err(Into::into)
}
