//! RFC 6120 §6.4: the process of SASL.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s2s_peer::authority::Authority;
use s2s_peer::error::PeerError;
use s2s_peer::namespace::SASL;

use crate::Check;
use crate::ending::expect_error;
use crate::header::Header;
use crate::outcome::{Finding, ensure, not_applicable, violated};
use crate::target::{Target, send_auth};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 35,
        section: "RFC 6120 §6.4.5, XEP-0178 §3",
        sentence: "two to five failed attempts end in policy-violation; dialback may follow one failure on the same \
                   stream",
        run: attempts,
    },
    Check {
        id: 36,
        section: "RFC 6120 §6.4.5",
        sentence: "an insufficient certificate is answered with policy-violation at once, not by a timeout",
        run: not_sufficient,
    },
];

fn attempts(target: &Target) -> Finding {
    let wrong = BASE64_STANDARD.encode(target.below("other"));
    let mut stream = target.certified()?.stream;
    let mut failures = 0;
    let condition = loop {
        if failures == 7 {
            return violated("seven attempts were permitted");
        }
        send_auth(&mut stream, &wrong)?;
        match stream.element("the answer to SASL EXTERNAL") {
            Ok(answer) if answer.is(SASL, "failure") => failures += 1,
            Ok(answer) => return violated(format!("a wrong identity was answered with {answer}")),
            Err(PeerError::Stream { condition, .. }) => break condition,
            Err(error) => return violated(format!("after {failures} failed attempts: {error}")),
        }
    };
    ensure(condition == "policy-violation" && (2..=5).contains(&failures), || {
        format!("{failures} failed attempts, then {condition}")
    })?;
    if target.outside.is_none() {
        return Ok(());
    }
    let mut opened = target.certified()?;
    if !opened.offers_dialback() {
        return Ok(());
    }
    send_auth(&mut opened.stream, &wrong)?;
    opened.stream.expect(SASL, "failure", "the answer to a wrong identity")?;
    target.offer_key(&mut opened, &target.peer)?;
    target.prove_by_dialback_or_certificate(&mut opened, &target.peer)
}

fn not_sufficient(target: &Target) -> Finding {
    let Some(strict) = &target.strict else {
        return not_applicable(
            "the target has no domain that must authenticate by certificate (--strict)",
        );
    };
    let stranger = Authority::new("Nobody trusts this")?.issue(&[strict])?;
    let header = Header { from: Some(strict), ..target.header() };
    let mut stream = target.secured(&header, Some(&stranger))?;
    stream.send(header.to_string())?;
    expect_error(&mut stream, &["policy-violation"])
}
