//! RFC 6120 §4.3: stream negotiation.

use std::collections::BTreeSet;

use s2s_peer::namespace::SASL;

use crate::Check;
use crate::ending::expect_error;
use crate::opened::Opened;
use crate::outcome::{Finding, ensure};
use crate::target::{Target, send_auth};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 3,
        section: "RFC 6120 §4.3.3, §4.7.3, §5.4.3.3",
        sentence: "a response header has an id, which never repeats and is new after every restart",
        run: ids_never_repeat,
    },
    Check {
        id: 8,
        section: "RFC 6120 §4.3.2",
        sentence: "features follow the response header of version 1.0",
        run: features_follow,
    },
    Check {
        id: 34,
        section: "RFC 6120 §4.3.5, §6.4.6",
        sentence: "after success the stream restarts with a new id and features, and then accepts stanzas",
        run: success_restarts,
    },
    Check {
        id: 55,
        section: "RFC 6120 §4.3.5",
        sentence: "a stanza before the end of the negotiation is answered with not-authorized",
        run: stanza_too_early,
    },
];

fn ids_never_repeat(target: &Target) -> Finding {
    let identity = target.identity(&[&target.peer])?;
    let header = target.header();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(target.clear(&header)?.id());
        ids.push(target.encrypted(&header, Some(&identity))?.id());
        ids.push(target.external(&header)?.id());
    }
    let distinct: BTreeSet<&String> = ids.iter().collect();
    // Eight characters are the minimum length that cannot be guessed during one stream.
    let good = ids.iter().all(|id| id.len() >= 8) && distinct.len() == ids.len();
    ensure(good, || format!("the ids were {ids:?}"))
}

fn features_follow(target: &Target) -> Finding {
    target.clear(&target.header())?;
    target.certified().map(drop)
}

fn success_restarts(target: &Target) -> Finding {
    let before = target.certified()?;
    let old = before.id();
    let mut stream = before.stream;
    send_auth(&mut stream, "=")?;
    stream.expect(SASL, "success", "the answer to SASL EXTERNAL")?;
    let Opened { mut stream, header, features, .. } =
        Opened::greet(stream.restarted(), &target.header())?;
    ensure(header.attribute("id").is_some_and(|id| id != old), || {
        format!("the id was {old} before the restart; the new header is {header}")
    })?;
    ensure(features.child(SASL, "mechanisms").is_none(), || {
        format!("SASL is offered again: {features}")
    })?;
    let (peer, domain) = (&target.peer, &target.domain);
    stream.send(format!(
        "<message from='romeo@{peer}/r' to='juliet@{domain}' id='s34'/></stream:stream>"
    ))?;
    let ending = crate::ending::Ending::of(&mut stream)?;
    ensure(ending.error.is_none(), || format!("a stanza was refused; {}", ending.seen()))
}

fn stanza_too_early(target: &Target) -> Finding {
    let mut stream = target.certified()?.stream;
    let (peer, domain) = (&target.peer, &target.domain);
    stream.send(format!("<message from='romeo@{peer}/r' to='juliet@{domain}'/>"))?;
    expect_error(&mut stream, &["not-authorized"])
}
