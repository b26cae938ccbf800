//! XEP-0288 §2: bidirectional streams.

use crate::conformance::Check;
use crate::conformance::ending::expect_error;
use crate::conformance::outcome::{Finding, ensure};
use crate::conformance::target::{DIALBACK_FEATURES, Target};
use crate::peer::namespace::{DIALBACK, SASL};

pub(super) const CHECKS: &[Check] = &[Check {
    id: 51,
    section: "XEP-0288 §2",
    sentence: "<bidi/> is asked for after TLS and before authentication, or not at all; no stanza is taken or sent \
               before a proof, and no key verified on the connection that it came on",
    run: bidi,
}];

const REQUEST: &str = "urn:xmpp:bidi";
const FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";

fn bidi(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let mut stream = target.proven()?.stream;
    stream.send(format!(
        "<bidi xmlns='{REQUEST}'/><message from='romeo@{peer}/r' to='juliet@{domain}'><body/></message>"
    ))?;
    expect_error(&mut stream, &["not-authorized", "unsupported-stanza-type"])?;
    target.outside()?;

    let _sending = target.make_send(peer, "s51")?;
    let features = format!("{FEATURE}{DIALBACK_FEATURES}");
    let mut dialled = target.accept_dialled(&[peer], &features)?;
    let mut first = dialled.stream.element("a proof, perhaps after <bidi/>")?;
    if first.is(REQUEST, "bidi") {
        first = dialled.stream.element("a proof after <bidi/>")?;
    }
    let proof = first.is(DIALBACK, "result") || first.is(SASL, "auth");
    ensure(proof, || format!("a proof was due; this came: {first}"))?;

    // The question about our key comes on another connection than the key, which `accept_dialled` sees.
    let mut opened = target.encrypted(&target.header(), None)?;
    opened.stream.send(format!("<bidi xmlns='{REQUEST}'/>"))?;
    if target.offer_key(&mut opened, peer).is_err() {
        return Ok(());
    }
    match opened.features.children.iter().any(|feature| feature.name == "bidi") {
        true => target.prove_by_dialback(&mut opened, peer),
        false => Ok(()),
    }
}
