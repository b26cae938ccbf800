//! XEP-0220 §2.6: several domains on one stream.

use s2s_peer::namespace::DIALBACK;

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 49,
    section: "XEP-0220 §2.6",
    sentence: "several senders may be authenticated on one stream; several targets share one only \
               with a peer that handles errors",
    run: multiplexing,
}];

fn multiplexing(target: &Target) -> Finding {
    target.resolved()?;
    let second = target.below(names::SECOND);
    let mut opened = target.dialback(&target.peer)?;
    target.offer_key(&mut opened, &second)?;
    target.prove_by_dialback(&mut opened, &second)?;
    // The target may reuse connections that it opened for verification.
    drop(opened);

    let silent_on_errors = "<dialback xmlns='urn:xmpp:features:dialback'/>";
    let _first = target.make_send(&target.peer, "s49a")?;
    let mut dialled = target.accept_dialled(&[&target.peer, &second], silent_on_errors)?.admit()?;
    let stanza = dialled.stream.element("a stanza for the first domain")?;
    ensure(stanza.attribute("id") == Some("s49a"), || stanza.to_string())?;
    let _second = target.make_send(&second, "s49b")?;
    let mut other = target.accept_dialled(&[&second], silent_on_errors)?;
    let request = other.stream.expect(DIALBACK, "result", "a key for the second domain")?;
    ensure(request.attribute("to") == Some(&second), || request.to_string())
}
