//! RFC 6120 §13.12: denial of service; XEP-0478, stream limits.

use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::namespace::{SERVER, STANZA_ERRORS};

use crate::Check;
use crate::ending::Ending;
use crate::outcome::{Finding, ensure};
use crate::target::{DIALBACK_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[Check {
    id: 61,
    section: "RFC 6120 §13.12, XEP-0478 §4",
    sentence: "stanzas of 10 000 bytes are accepted, oversize ones are answered with \
               policy-violation; a stanza above the peer's announced limit is not sent but \
               bounced",
    run: sizes,
}];

/// Larger than the stanza size limit of servers (512 KiB for the engine, Prosody and ejabberd).
const OVERSIZE: usize = 1024 * 1024;
/// The stanza size limit that the peer announces by XEP-0478.
const ANNOUNCED: usize = 12_000;

fn sizes(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let stanza = |id: &str, bytes: usize| {
        let head = format!("<message from='romeo@{peer}/r' to='juliet@{domain}' id='{id}'><body>");
        let tail = "</body></message>";
        let filling = bytes.saturating_sub(head.len() + tail.len());
        format!("{head}{}{tail}", "x".repeat(filling))
    };
    let mut stream = target.authenticated()?;
    stream.send(stanza("s61a", 10_000) + "</stream:stream>")?;
    let ending = Ending::of(&mut stream)?;
    ensure(ending.error.is_none(), || format!("10 000 bytes: {}", ending.seen()))?;

    let mut stream = target.authenticated()?;
    // The target may close the connection before everything is written.
    let _ = stream.send(stanza("s61b", OVERSIZE) + "</stream:stream>");
    refused_for_policy(target, &Ending::of(&mut stream)?)?;
    if target.inside.is_some() { announced(target) } else { Ok(()) }
}

/// The target refuses by a stream error, or by a stanza error: on this stream, or on one that it opens to the sender.
fn refused_for_policy(target: &Target, ending: &Ending) -> Finding {
    let answers = |element: &Element| {
        element.attribute("id") == Some("s61b")
            && element
                .child(SERVER, "error")
                .is_some_and(|error| error.child(STANZA_ERRORS, "policy-violation").is_some())
    };
    if ending.error.as_deref() == Some("policy-violation") || ending.elements.iter().any(answers) {
        return Ok(());
    }
    ensure(ending.error.is_none(), || format!("{OVERSIZE} bytes: {}", ending.seen()))?;
    let answer = target.accept_dialled(&[&target.peer], DIALBACK_FEATURES)?.admit()?.stanza()?;
    ensure(answers(&answer), || format!("{OVERSIZE} bytes: {answer}"))
}

fn announced(target: &Target) -> Finding {
    let inside = target.inside()?;
    let (peer, domain) = (&target.peer, &target.domain);
    let mut sending = inside.stream_to(peer)?;
    let filling = "x".repeat(ANNOUNCED);
    sending.send(format!(
        "<message from='juliet@{domain}' to='romeo@{peer}' id='s61c'><body>small</body></message>\
         <message from='juliet@{domain}' to='romeo@{peer}' id='s61d'><body>{filling}</body></message>"
    ))?;
    let limits = format!(
        "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{ANNOUNCED}</max-bytes></limits>{DIALBACK_FEATURES}"
    );
    let mut dialled = target.accept_dialled(&[peer], &limits)?.admit()?;
    let first = dialled.stream.element("a stanza")?;
    ensure(first.attribute("id") == Some("s61c"), || first.to_string())?;
    let bounce = inside.received("s61d").map_err(|error| match error {
        PeerError::Deadline { .. } => crate::outcome::Obstacle::Violated(
            "a stanza larger than the peer's announced limit (XEP-0478) was not bounced".to_owned(),
        ),
        other => other.into(),
    })?;
    let condition = bounce
        .child(SERVER, "error")
        .is_some_and(|error| error.child(STANZA_ERRORS, "policy-violation").is_some());
    ensure(condition, || bounce.to_string())
}
