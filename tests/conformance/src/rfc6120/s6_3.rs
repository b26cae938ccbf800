//! RFC 6120 §6.3: rules of SASL.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::element::Element;
use s2s_peer::namespace::SASL;

use crate::Check;
use crate::outcome::{Finding, ensure, violated};
use crate::target::{EXTERNAL_FEATURES, Target, send_auth};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 29,
        section: "RFC 6120 §6.3.4, XEP-0178 §3",
        sentence: "EXTERNAL is offered only when the certificate is valid for the 'from' of the header",
        run: offered_when_it_succeeds,
    },
    Check {
        id: 30,
        section: "RFC 6120 §6.3.4, §6.4.2",
        sentence: "EXTERNAL is listed and tried first, and an empty initial response is '='",
        run: external_first,
    },
    Check {
        id: 31,
        section: "RFC 6120 §6.3.8",
        sentence: "'=' and the 'from' of the header are accepted as authorization identity, another one is answered with invalid-authzid",
        run: authorization_identity,
    },
    Check {
        id: 32,
        section: "RFC 6120 §6.3.8",
        sentence: "the authorization identity is a bare domain, compared after normalisation",
        run: bare_domain,
    },
    Check {
        id: 33,
        section: "RFC 6120 §6.3.5",
        sentence: "base64 is strict: no white space, padding bits zero",
        run: strict_base64,
    },
];

fn offered_when_it_succeeds(target: &Target) -> Finding {
    let stranger = Authority::new("Nobody trusts this")?.issue(&[&target.peer])?;
    let other = target.identity(&[&target.below("other")])?;
    let cases: [(&str, Option<&Identity>); 3] = [
        ("no certificate", None),
        ("a certificate of an unknown authority", Some(&stranger)),
        ("a certificate for another domain", Some(&other)),
    ];
    for (what, identity) in cases {
        // A target that closes the stream instead does not offer EXTERNAL either.
        let Ok(opened) = target.encrypted(&target.header(), identity) else { continue };
        ensure(!opened.offers_external(), || format!("EXTERNAL is offered for {what}"))?;
    }
    let opened = target.certified()?;
    ensure(opened.offers_external(), || {
        format!("features for a valid certificate: {}", opened.features)
    })
}

fn external_first(target: &Target) -> Finding {
    let opened = target.certified()?;
    ensure(opened.mechanisms().first() == Some(&"EXTERNAL"), || opened.features.to_string())?;
    if target.outside.is_none() {
        return Ok(());
    }
    let _waiting = target.make_send(&target.peer, "s30")?;
    let dialled = target.accept_dialled(&[&target.peer], EXTERNAL_FEATURES)?;
    let mut stream = dialled.stream;
    let first = stream.element("SASL EXTERNAL")?;
    let tried = first.is(SASL, "auth") && first.attribute("mechanism") == Some("EXTERNAL");
    let said = first.text == "=" || first.text == BASE64_STANDARD.encode(&target.domain);
    ensure(tried && said, || first.to_string())
}

/// The target's answer to that initial response.
fn answer(target: &Target, initial: &str) -> Finding<Element> {
    let mut stream = target.certified()?.stream;
    send_auth(&mut stream, initial)?;
    Ok(stream.element("the answer to SASL EXTERNAL")?)
}

fn expect_failure(target: &Target, initial: &str, conditions: &[&str]) -> Finding {
    let answer = answer(target, initial)?;
    let good = answer.is(SASL, "failure")
        && conditions.iter().any(|condition| answer.child(SASL, condition).is_some());
    ensure(good, || format!("{initial:?} was answered with {answer}"))
}

fn expect_success(target: &Target, initial: &str) -> Finding {
    let answer = answer(target, initial)?;
    ensure(answer.is(SASL, "success"), || format!("{initial:?} was answered with {answer}"))
}

fn authorization_identity(target: &Target) -> Finding {
    expect_success(target, "=")?;
    expect_success(target, &BASE64_STANDARD.encode(&target.peer))?;
    let other = BASE64_STANDARD.encode(target.below("other"));
    expect_failure(target, &other, &["invalid-authzid"])
}

fn bare_domain(target: &Target) -> Finding {
    expect_success(target, &BASE64_STANDARD.encode(target.peer.to_uppercase()))?;
    let peer = &target.peer;
    for more in [format!("romeo@{peer}"), format!("{peer}/r")] {
        let initial = BASE64_STANDARD.encode(more);
        expect_failure(target, &initial, &["invalid-authzid", "not-authorized"])?;
    }
    Ok(())
}

fn strict_base64(target: &Target) -> Finding {
    // Try the domain with and without a trailing dot, because one of the two lengths needs padding.
    let plain = ["", "."].map(|end| BASE64_STANDARD.encode(format!("{}{end}", target.peer)));
    let Some(padded) = plain.iter().find(|text| text.ends_with('=')) else {
        return violated("the suite's domain has no padded form; this is an error of the suite");
    };
    let digits = padded.trim_end_matches('=');
    let (front, last) = digits.split_at(digits.len().saturating_sub(1));
    // The last digit before the padding ends in zero bits; the next digit of the alphabet sets one of them.
    let loose: String = last.chars().filter_map(|c| char::from_u32(u32::from(c) + 1)).collect();
    let padding = padded.get(digits.len()..).unwrap_or_default();
    let (head, tail) = padded.split_at(4);
    let wrong = [format!("{front}{loose}{padding}"), format!("{head}\n{tail}"), "*===".to_owned()];
    for initial in wrong {
        expect_failure(target, &initial, &["incorrect-encoding", "malformed-request"])?;
    }
    Ok(())
}
