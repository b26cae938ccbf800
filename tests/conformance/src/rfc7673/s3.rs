//! RFC 7673 §3 and §4: DANE for SRV records.

use s2s_peer::authority::Identity;

use crate::Check;
use crate::dialled::Dialled;
use crate::outcome::{Finding, ensure, not_applicable};
use crate::signed::{SERVER, names};
use crate::target::{EXTERNAL_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[Check {
    id: 28,
    section: "RFC 7673 §3, §4",
    sentence: "DANE: no connection is opened to a server whose SRV, address or TLSA records are bogus; a certificate that matches a secure TLSA record of usage DANE-EE authenticates its domain, whatever its names and dates, and no other certificate does",
    run: dane,
}];

fn dane(target: &Target) -> Finding {
    let outside = target.resolved()?;
    let Some(signed) = &outside.signed else {
        return not_applicable("the target does not validate with the key of the suite's zone");
    };
    for name in [names::BOGUS_SERVICE, names::BOGUS_ADDRESS, names::BOGUS_CERTIFICATE] {
        let foreign = target.below(name);
        // A target that does not report its failure (XEP-0220 §2.5) has also failed by then.
        let _ = target.make_fail(&foreign);
        let connections = outside.starttls.clear() + outside.trap.clear();
        ensure(connections == 0, || format!("{foreign}: the target connected to its server"))?;
    }
    let [named, other] = names::DANE.map(|name| target.below(name));
    let [over, plain, by_host] = names::NO_TLSA.map(|name| target.below(name));
    let valid = target.identity(&[&other, &plain])?;
    let of_host = target.identity(&[&format!("{SERVER}.{by_host}")])?;
    // Each case uses its own domain, because a target does not immediately redial a domain that it refused.
    let cases = [
        (true, &named, &signed.identity, "the certificate of its TLSA record"),
        (false, &other, &valid, "a valid certificate that no TLSA record matches"),
        (false, &over, &signed.identity, "an untrusted, expired certificate for another name"),
        (true, &plain, &valid, "a valid certificate"),
        (
            true,
            &by_host,
            &of_host,
            "a valid certificate of the SRV target, which DNSSEC authenticates",
        ),
    ];
    for (number, (due, foreign, identity, what)) in cases.into_iter().enumerate() {
        let believed = believes(target, foreign, identity, &format!("s28-{number}"))?;
        let verb = if due { "did not authenticate" } else { "proved" };
        ensure(believed == due, || format!("{what} {verb} {foreign}"))?;
    }
    Ok(())
}

/// Whether the target authenticates and sends a stanza if our server presents this certificate. Reads the queued
/// stanza, so that it does not arrive again during another case.
fn believes(target: &Target, foreign: &str, identity: &Identity, id: &str) -> Finding<bool> {
    let _waiting = target.make_send(foreign, id)?;
    let dialled = Dialled::accept(target.accept()?, identity, EXTERNAL_FEATURES);
    Ok(dialled.and_then(Dialled::admit).and_then(|mut dialled| dialled.stanza()).is_ok())
}
