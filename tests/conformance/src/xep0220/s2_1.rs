//! XEP-0220 §2.1: the initiating and the receiving server.

use s2s_peer::namespace::{DIALBACK, SERVER, STANZA_ERRORS};

use crate::Check;
use crate::ending::Ending;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::{DIALBACK_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 41,
        section: "XEP-0220 §2.1.2",
        sentence: "db:verify carries the id of the response header after the last restart",
        run: id_of_the_stream,
    },
    Check {
        id: 42,
        section: "XEP-0220 §2.1.1",
        sentence: "stanzas wait until the key is valid, and verified pairs continue meanwhile",
        run: stanzas_wait,
    },
    Check {
        id: 43,
        section: "XEP-0220 §2.1.1",
        sentence: "queued stanzas bounce with internal-server-error after 'invalid', and with \
                   remote-server-timeout after 'error'",
        run: what_is_returned,
    },
];

fn id_of_the_stream(target: &Target) -> Finding {
    let waiting = target.make_verify(&target.peer)?;
    let mut dialled = target.accept_dialled(&[&target.peer], DIALBACK_FEATURES)?;
    let request = dialled.question()?;
    let id = waiting.id();
    let good = request.attribute("id") == Some(&id)
        && request.attribute("from") == Some(&target.domain)
        && request.attribute("to") == Some(&target.peer)
        && request.text.trim() == target.key(&target.peer, &id);
    ensure(good, || format!("the stream's id is {id}; the request was {request}"))
}

fn stanzas_wait(target: &Target) -> Finding {
    let _sending = target.make_send(&target.peer, "s42a")?;
    let mut first = target.accept_dialled(&[&target.peer], DIALBACK_FEATURES)?;
    let key = first.stream.expect(DIALBACK, "result", "a dialback key before any stanza")?;
    if target.resolved().is_ok() {
        let second = target.below(names::SECOND);
        let _sending = target.make_send(&second, "s42b")?;
        let mut other = target.accept_dialled(&[&second], DIALBACK_FEATURES)?.admit()?;
        let stanza = other.stream.element("the stanza of a pair that is verified")?;
        ensure(stanza.attribute("id") == Some("s42b"), || stanza.to_string())?;
    }
    first.answer_key(&key, "type='valid'/>")?;
    let stanza = first.stream.element("the queued stanza")?;
    ensure(stanza.attribute("id") == Some("s42a"), || stanza.to_string())
}

fn what_is_returned(target: &Target) -> Finding {
    target.resolved()?;
    let inside = target.inside()?;
    let error = format!(
        "type='error'><error type='cancel'><forbidden xmlns='{STANZA_ERRORS}'/></error></db:result>"
    );
    let cases = [
        (target.peer.clone(), "type='invalid'/></stream:stream>", "internal-server-error"),
        (target.below(names::SECOND), error.as_str(), "remote-server-timeout"),
    ];
    for (foreign, answer, condition) in cases {
        let _sending = target.make_send(&foreign, "s43")?;
        let mut dialled = target.accept_dialled(&[&foreign], DIALBACK_FEATURES)?;
        let key = dialled.stream.expect(DIALBACK, "result", "a dialback key")?;
        dialled.answer_key(&key, answer)?;
        let bounce = inside.received("s43")?;
        let returned = bounce
            .child(SERVER, "error")
            .is_some_and(|error| error.child(STANZA_ERRORS, condition).is_some());
        ensure(returned, || format!("{answer}: expected {condition}, received: {bounce}"))?;
        // The target must not have sent the stanza itself.
        let ending = Ending::of(&mut dialled.stream)?;
        ensure(ending.elements.is_empty(), || format!("{answer}: {}", ending.seen()))?;
    }
    Ok(())
}
