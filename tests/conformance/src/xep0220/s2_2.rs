//! XEP-0220 §2.2: the receiving and the authoritative server.

use s2s_peer::dialback;
use s2s_peer::element::Element;
use s2s_peer::namespace::{DIALBACK, SERVER, STANZA_ERRORS};

use crate::Check;
use crate::ending::{Ending, rest};
use crate::opened::Opened;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::{DIALBACK_FEATURES, EXTERNAL_FEATURES, Target, our_secret};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 40,
        section: "XEP-0220 §2.1.1, §2.1.2, §2.2, §3.1",
        sentence: "an answer without a request on the same stream authorises nothing",
        run: unsolicited,
    },
    Check {
        id: 44,
        section: "XEP-0220 §2.2.1, §2.2.2, §2.5",
        sentence: "an unknown 'to' is answered with item-not-found, and the stream stays open",
        run: unknown_to,
    },
    Check {
        id: 45,
        section: "XEP-0220 §2.2.1",
        sentence: "an invalid key of the first pair is answered, and the stream closed; an invalid \
                   key of a further pair is answered, and the first pair continues",
        run: invalid,
    },
    Check {
        id: 47,
        section: "XEP-0220 §2.2.2, §2.1.2",
        sentence: "the answer to db:verify has the addresses swapped and the id copied; a connection for verification is \
                   closed at once after it",
        run: answers,
    },
    Check {
        id: 48,
        section: "XEP-0220 §2.2.2",
        sentence: "db:verify is answered on a stream that is not authenticated",
        run: unauthenticated,
    },
];

fn unsolicited(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let forged = [
        format!("<db:result from='{peer}' to='{domain}' type='valid'/>"),
        format!("<db:result from='{domain}' to='{peer}' type='valid'/>"),
        format!("<db:verify from='{peer}' to='{domain}' id='s40' type='valid'/>"),
    ];
    let mut refused = true;
    for answer in forged {
        let mut stream = target.encrypted(&target.header(), None)?.stream;
        stream.send(format!(
            "{answer}<iq type='get' from='romeo@{peer}/r' to='{domain}' id='s40'><ping xmlns='urn:xmpp:ping'/></iq>\
             </stream:stream>"
        ))?;
        refused &= Ending::of(&mut stream)?.error.is_some();
    }
    if let Some(inside) = &target.inside {
        let mut stream = target.authenticated()?;
        stream.send(format!("<message from='romeo@{peer}' to='juliet@{domain}' id='s40good'/>"))?;
        let first = inside.received("s40")?;
        return ensure(first.attribute("id") == Some("s40good"), || {
            format!("a forged answer was accepted: {first}")
        });
    }
    if refused {
        return Ok(());
    }
    // Silence shows nothing. The first stanza after an authorised request does.
    let _sending = target.make_send(peer, "s40good")?;
    let mut dialled = target.accept_dialled(&[peer], EXTERNAL_FEATURES)?.admit()?;
    let first = dialled.stanza()?;
    ensure(first.attribute("id") == Some("s40good"), || {
        format!("a stanza after a forged answer was answered: {first}")
    })
}

fn error_condition(answer: &Element) -> Option<&str> {
    let error = answer.child(SERVER, "error").or_else(|| answer.child(DIALBACK, "error"))?;
    let defined = |child: &&Element| child.namespace == STANZA_ERRORS && child.name != "text";
    error.children.iter().find(defined).map(|child| child.name.as_str())
}

fn unknown_to(target: &Target) -> Finding {
    let peer = &target.peer;
    for (name, id) in [("result", ""), ("verify", " id='s44'")] {
        let mut stream = target.encrypted(&target.header(), None)?.stream;
        // Send it twice: the second answer shows that the stream stayed open.
        for _ in 0..2 {
            stream.send(format!(
                "<db:{name} from='{peer}' to='nowhere.invalid'{id}>0123456789abcdef</db:{name}>"
            ))?;
            let answer = stream.expect(DIALBACK, name, "a dialback error")?;
            let good = answer.attribute("type") == Some("error")
                && error_condition(&answer) == Some("item-not-found");
            ensure(good, || format!("db:{name} was answered with {answer}"))?;
        }
    }
    Ok(())
}

/// Offers a key that our own authoritative server does not confirm.
fn offer_invalid(target: &Target, opened: &mut Opened, from: &str) -> Finding<Element> {
    let domain = &target.domain;
    opened.stream.send(format!("<db:result from='{from}' to='{domain}'>forged</db:result>"))?;
    opened.kept.push(target.answer_verification(&[from])?);
    Ok(opened.stream.expect(DIALBACK, "result", "the verdict on a forged key")?)
}

fn invalid(target: &Target) -> Finding {
    target.outside()?;
    let mut opened = target.encrypted(&target.header(), None)?;
    let verdict = offer_invalid(target, &mut opened, &target.peer)?;
    ensure(verdict.attribute("type") == Some("invalid"), || verdict.to_string())?;
    Ending::of(&mut opened.stream)?;
    drop(opened);
    if target.resolved().is_err() {
        return Ok(());
    }
    let mut opened = target.dialback(&target.peer)?;
    let verdict = offer_invalid(target, &mut opened, &target.below(names::SECOND))?;
    ensure(matches!(verdict.attribute("type"), Some("invalid" | "error")), || verdict.to_string())?;
    if verdict.attribute("type") == Some("invalid") {
        return Ok(());
    }
    let (peer, domain) = (&target.peer, &target.domain);
    opened.stream.send(format!(
        "<message from='romeo@{peer}/r' to='juliet@{domain}' id='s45'><body/></message></stream:stream>"
    ))?;
    let ending = Ending::of(&mut opened.stream)?;
    ensure(ending.error.is_none(), || format!("the first pair: {}", ending.seen()))
}

fn verification(target: &Target) -> Finding<Element> {
    let mut stream = target.encrypted(&target.header(), None)?.stream;
    let (peer, domain) = (&target.peer, &target.domain);
    stream.send(format!("<db:verify from='{peer}' to='{domain}' id='s47'>no key</db:verify>"))?;
    Ok(stream.expect(DIALBACK, "verify", "the verification of a dialback key")?)
}

fn answers(target: &Target) -> Finding {
    let answer = verification(target)?;
    let good = answer.attribute("from") == Some(&target.domain)
        && answer.attribute("to") == Some(&target.peer)
        && answer.attribute("id") == Some("s47");
    ensure(good, || answer.to_string())?;
    if target.outside.is_none() {
        return Ok(());
    }
    let _waiting = target.make_verify(&target.peer)?;
    let mut dialled = target.accept_dialled(&[&target.peer], DIALBACK_FEATURES)?;
    let request = dialled.stream.element("a db:verify request")?;
    if request.is(DIALBACK, "result") {
        // The target does not use the stream only for verification.
        return Ok(());
    }
    dialback::answer_verify(&mut dialled.stream, &our_secret(), &request)?;
    rest(&mut dialled.stream).map(drop)
}

fn unauthenticated(target: &Target) -> Finding {
    let answer = verification(target)?;
    ensure(answer.attribute("type") == Some("invalid"), || answer.to_string())
}
