//! RFC 6120 §10.4: remote domains.

use s2s_peer::namespace::{SERVER, STANZA_ERRORS};

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 60,
    section: "RFC 6120 §10.4.3, §8.3.3.16, §8.3.3.17",
    sentence: "stanzas to a domain that does not exist in DNS bounce with \
               remote-server-not-found, stanzas to one that does not answer with \
               remote-server-timeout",
    run: unreachable,
}];

fn unreachable(target: &Target) -> Finding {
    target.resolved()?;
    let inside = target.inside()?;
    let cases = [
        (names::NOWHERE, "remote-server-not-found", &["cancel"][..]),
        (names::REFUSED, "remote-server-timeout", &["wait", "cancel"][..]),
    ];
    for (name, condition, kinds) in cases {
        let foreign = target.below(name);
        let _sending = target.make_send(&foreign, "s60")?;
        let bounce = inside.received("s60")?;
        let error = bounce.child(SERVER, "error");
        let good = error.is_some_and(|error| {
            error.child(STANZA_ERRORS, condition).is_some()
                && error.attribute("type").is_some_and(|kind| kinds.contains(&kind))
        });
        ensure(good, || format!("expected {condition}, received: {bounce}"))?;
    }
    Ok(())
}
