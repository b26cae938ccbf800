//! XEP-0288 §2: bidirectional streams.

use s2s_peer::namespace::{DIALBACK, SASL};

use crate::Check;
use crate::ending::Ending;
use crate::header::Header;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::{DIALBACK_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[Check {
    id: 51,
    section: "XEP-0288 §2",
    sentence: "<bidi/> is requested after TLS and before authentication, or not at all; no stanza \
               is accepted or sent before authentication, and no key is verified on the \
               connection that it came on",
    run: bidi,
}];

const REQUEST: &str = "urn:xmpp:bidi";
const FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";

fn bidi(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let mut stream = target.certified()?.stream;
    stream.send(format!(
        "<bidi xmlns='{REQUEST}'/><message from='romeo@{peer}/r' to='juliet@{domain}'><body/></message>"
    ))?;
    // With or without an error: RFC 6120 §4.3.5 defines the refusal of a stanza that arrives too early.
    let ending = Ending::of(&mut stream)?;
    ensure(ending.elements.is_empty(), || {
        format!("a stanza before authentication: {}", ending.seen())
    })?;
    target.outside()?;

    let _sending = target.make_send(peer, "s51")?;
    let features = format!("{FEATURE}{DIALBACK_FEATURES}");
    let mut dialled = target.accept_dialled(&[peer], &features)?;
    let mut first = dialled.stream.element("authentication, perhaps after <bidi/>")?;
    if first.is(REQUEST, "bidi") {
        first = dialled.stream.element("authentication after <bidi/>")?;
    }
    let proof = first.is(DIALBACK, "result") || first.is(SASL, "auth");
    ensure(proof, || format!("expected authentication, received: {first}"))?;

    if target.resolved().is_err() {
        return Ok(());
    }
    // The verification request for our key must arrive on another connection than the key.
    let second = target.below(names::SECOND);
    let mut opened = target.encrypted(&Header { from: Some(&second), ..target.header() }, None)?;
    if opened.features.children.iter().any(|feature| feature.name == "bidi") {
        opened.stream.send(format!("<bidi xmlns='{REQUEST}'/>"))?;
        target.offer_key(&mut opened, &second)?;
        target.prove_by_dialback(&mut opened, &second)?;
    }
    Ok(())
}
