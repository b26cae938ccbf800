//! A: authorization of senders for domains.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, DnType, IsCa, SanType};
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::namespace::{DIALBACK, SASL};
use s2s_peer::stream::Stream;

use super::{Case, Proof};
use crate::ending::Ending;
use crate::header::Header;
use crate::opened::Opened;
use crate::outcome::{Finding, Obstacle, ensure, not_applicable};
use crate::target::{DIALBACK_FEATURES, Target};

const DAY: Duration = Duration::from_hours(24);

pub(super) const CASES: &[Case] = &[
    Case {
        name: "A1",
        sentence: "an unsolicited db:result of type valid authorises no pair",
        proof: Proof::Statement(40),
    },
    Case {
        name: "A2",
        sentence: "an unsolicited db:verify of type valid authorises no pair",
        proof: Proof::Statement(40),
    },
    Case {
        name: "A3",
        sentence: "an answer to db:verify with another id, from or to confirms no key",
        proof: Proof::Check(answers_of_others),
    },
    Case {
        name: "A4",
        sentence: "an answer to db:verify that arrives after its stream has closed does no harm",
        proof: Proof::Check(late_answer),
    },
    Case {
        name: "A5",
        sentence: "a stream that is authenticated for one local domain cannot send to another one",
        proof: Proof::Check(other_local_domain),
    },
    Case {
        name: "A6",
        sentence: "a further pair that fails does not affect the first one",
        proof: Proof::Statement(45),
    },
    Case {
        name: "A7",
        sentence: "dialback from the target's own domain is never valid",
        proof: Proof::Check(dialback_from_itself),
    },
    Case {
        name: "A8",
        sentence: "the 'from' of a header before TLS authenticates nothing after TLS",
        proof: Proof::Statement(13),
    },
    Case {
        name: "A9",
        sentence: "another 'to' after SASL gives no access to another domain",
        proof: Proof::Check(other_to_after_sasl),
    },
    Case {
        name: "A10",
        sentence: "an authorization identity that is not the certificate's is refused",
        proof: Proof::Statement(31),
    },
    Case {
        name: "A11",
        sentence: "an empty authorization identity is the 'from' of the header",
        proof: Proof::Statement(31),
    },
    Case {
        name: "A12",
        sentence: "a wildcard is the whole left-most label",
        proof: Proof::Statement(25),
    },
    Case {
        name: "A13",
        sentence: "hostile spellings of a name in a certificate authenticate nothing; upper case does not make another name",
        proof: Proof::Check(spellings_in_certificates),
    },
    Case {
        name: "A14",
        sentence: "a certificate that has the domain only as common name authenticates nothing",
        proof: Proof::Check(common_name),
    },
    Case {
        name: "A15",
        sentence: "SRV-ID of _xmpp-server and XmppAddr are accepted",
        proof: Proof::Statement(25),
    },
    Case {
        name: "A16",
        sentence: "a certificate of a server without the usage clientAuth is accepted",
        proof: Proof::Statement(26),
    },
    Case {
        name: "A17",
        sentence: "certificates that are expired, not yet valid, of a CA, or of another authority authenticate nothing",
        proof: Proof::Check(bad_certificates),
    },
    Case {
        name: "A18",
        sentence: "a key for another pair or stream is invalid",
        proof: Proof::Statement(39),
    },
    Case {
        name: "A19",
        sentence: "a stream cannot send for a subdomain of its own domain",
        proof: Proof::Check(domain_below),
    },
    Case {
        name: "A20",
        sentence: "no spelling of 'from' lets a stream send for another domain",
        proof: Proof::Check(spellings_of_from),
    },
    Case {
        name: "A21",
        sentence: "no remote server can send for a domain of the target",
        proof: Proof::Check(claims_target),
    },
    Case {
        name: "A22",
        sentence: "stanzas between two remote domains are not relayed",
        proof: Proof::Statement(54),
    },
    Case {
        name: "A23",
        sentence: "see-other-host is followed for the same domain only, and after TLS only",
        proof: Proof::Statement(66),
    },
];

fn answers_of_others(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let mut opened = target.make_verify(peer)?;
    let mut dialled = target.accept_dialled(&[peer], DIALBACK_FEATURES)?;
    let request = dialled.question()?;
    let id = request.attribute("id").unwrap_or_default();
    for (from, to, id) in [
        (peer.as_str(), domain.as_str(), "another"),
        ("other.invalid", domain.as_str(), id),
        (peer.as_str(), "other.invalid", id),
    ] {
        // The target may close the connection at the first answer.
        let answer = format!("<db:verify from='{from}' to='{to}' id='{id}' type='valid'/>");
        let _ = dialled.stream.send(answer);
    }
    let invalid = format!("<db:verify from='{peer}' to='{domain}' id='{id}' type='invalid'/>");
    let _ = dialled.stream.send(invalid);
    let verdict = opened.stream.expect(DIALBACK, "result", "the verdict on a dialback key")?;
    ensure(verdict.attribute("type") != Some("valid"), || verdict.to_string())
}

fn late_answer(target: &Target) -> Finding {
    let peer = &target.peer;
    let opened = target.make_verify(peer)?;
    let mut dialled = target.accept_dialled(&[peer], DIALBACK_FEATURES)?;
    let request = dialled.question()?;
    drop(opened);
    let (to, id) = (&target.domain, request.attribute("id").unwrap_or_default());
    let _ =
        dialled.stream.send(format!("<db:verify from='{peer}' to='{to}' id='{id}' type='valid'/>"));
    // The target still serves the next connection.
    target.clear(&target.header()).map(drop)
}

/// Sends an unauthorized stanza: the target must close its stream with an error, or answer the stanza with an error.
fn refused(target: &Target, stream: &mut Stream, from: &str, to: &str, id: &str) -> Finding {
    let _ = stream.send(format!(
        "<message from='{from}' to='{to}' id='{id}'><body/></message></stream:stream>"
    ));
    let ending = Ending::of(stream)?;
    let answered = ending.elements.iter().any(|one| one.attribute("type") == Some("error"));
    ensure(ending.error.is_some() || answered, || {
        format!("a stanza from {from:?} to {to:?}: {}", ending.seen())
    })?;
    let Some(inside) = &target.inside else { return Ok(()) };
    let mut good = target.authenticated()?;
    let (peer, domain) = (&target.peer, &target.domain);
    good.send(format!("<message from='romeo@{peer}' to='juliet@{domain}' id='{id}-good'/>"))?;
    let first = inside.received(id)?;
    let expected = format!("{id}-good");
    ensure(first.attribute("id") == Some(&expected), || {
        format!("the forbidden stanza was delivered: {first}")
    })
}

fn other_local_domain(target: &Target) -> Finding {
    let Some(second) = &target.second_domain else {
        return not_applicable("it needs a second domain of the target (--second-domain)");
    };
    let mut stream = target.authenticated()?;
    refused(target, &mut stream, &format!("x@{}", target.peer), &format!("y@{second}"), "case-a5")
}

fn dialback_from_itself(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    for (from, to) in [(domain, domain), (domain, peer)] {
        let mut stream = target.encrypted(&target.header(), None)?.stream;
        stream.send(format!("<db:result from='{from}' to='{to}'>0123</db:result>"))?;
        stream.send("</stream:stream>")?;
        let ending = Ending::of(&mut stream)?;
        let valid = ending.elements.iter().any(|one| one.attribute("type") == Some("valid"));
        ensure(!valid, || format!("dialback from {from} to {to}: {}", ending.seen()))?;
    }
    Ok(())
}

fn other_to_after_sasl(target: &Target) -> Finding {
    let other = target.second_domain.as_deref().unwrap_or("other.invalid");
    let identity = target.identity(&[&target.peer])?;
    let opened = target.encrypted(&target.header(), Some(&identity))?;
    if !opened.offers_external() {
        return not_applicable(
            "the target does not offer EXTERNAL for a certificate of the suite's CA",
        );
    }
    let mut stream = opened.stream;
    stream.send(format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>"))?;
    stream.expect(SASL, "success", "the answer to SASL EXTERNAL")?;
    let header = Header { to: Some(other), ..target.header() };
    // A target that refuses the header sends a stream error.
    let Ok(Opened { mut stream, .. }) = Opened::greet(stream.restarted(), &header) else {
        return Ok(());
    };
    refused(target, &mut stream, &format!("x@{}", target.peer), &format!("y@{other}"), "case-a9")
}

fn proves_not(target: &Target, identity: &Identity, what: &str) -> Finding {
    ensure(!target.proves(&target.peer, identity), || {
        format!("{what} authenticated {}", target.peer)
    })
}

fn spellings_in_certificates(target: &Target) -> Finding {
    let peer = &target.peer;
    let upper = target.identity(&[&peer.to_uppercase()])?;
    ensure(target.proves(peer, &upper), || {
        "upper case did not authenticate the domain".to_owned()
    })?;
    for hostile in [format!("{peer}\0.evil.invalid"), format!("{peer}."), format!(" {peer}")] {
        let Ok(name) = hostile.as_str().try_into() else { continue };
        let identity = target
            .authority
            .issue_with(&[], |params| params.subject_alt_names = vec![SanType::DnsName(name)])?;
        proves_not(target, &identity, &format!("{hostile:?}"))?;
    }
    Ok(())
}

fn common_name(target: &Target) -> Finding {
    let identity = target.authority.issue_with(&[], |params| {
        params.distinguished_name.push(DnType::CommonName, target.peer.as_str());
    })?;
    proves_not(target, &identity, "a common name")
}

fn bad_certificates(target: &Target) -> Finding {
    let (peer, now) = ([target.peer.as_str()], SystemTime::now());
    let authority = &target.authority;
    let expired = authority.issue_with(&peer, |params| {
        params.not_before = (now - DAY * 3).into();
        params.not_after = (now - DAY).into();
    })?;
    proves_not(target, &expired, "an expired certificate")?;
    let early = authority.issue_with(&peer, |params| {
        params.not_before = (now + DAY).into();
        params.not_after = (now + DAY * 3).into();
    })?;
    proves_not(target, &early, "a certificate that is not yet valid")?;
    let of_ca = authority.issue_with(&peer, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    })?;
    proves_not(target, &of_ca, "a certificate of an authority")?;
    let other = Authority::new("Another CA")?.issue(&peer)?;
    proves_not(target, &other, "a certificate of another authority")?;
    proves_not(target, &Authority::self_signed(&peer)?, "a self-signed certificate")
}

fn domain_below(target: &Target) -> Finding {
    let mut stream = target.authenticated()?;
    let from = format!("x@{}", target.below("sub"));
    refused(target, &mut stream, &from, &format!("y@{}", target.domain), "case-a19")
}

fn spellings_of_from(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let hostile = [
        format!("evil.invalid/@{peer}"),
        format!("x@evil.invalid/{peer}"),
        format!("{peer}@evil.invalid"),
        format!("x@{peer}\u{ff0e}evil.invalid"),
        format!("x@{peer}\u{3002}evil.invalid"),
        format!("x@{peer}.."),
        format!("x@.{peer}"),
        format!("x@evil.invalid&#x2f;@{peer}"),
        "x@127.0.0.1".to_owned(),
        "x@[::1]".to_owned(),
    ];
    for from in hostile {
        let mut stream = target.authenticated()?;
        refused(target, &mut stream, &from, &format!("y@{domain}"), "case-a20")
            .map_err(|obstacle| Obstacle::Violated(format!("{from:?}: {obstacle}")))?;
    }
    Ok(())
}

fn claims_target(target: &Target) -> Finding {
    let domain = &target.domain;
    let identity = target.identity(&[domain])?;
    let header = Header { from: Some(domain), ..target.header() };
    let Ok(mut opened) = target.encrypted(&header, Some(&identity)) else { return Ok(()) };
    let mut ended =
        opened.stream.send(format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>"));
    if ended.is_ok() {
        ended = opened.stream.expect(SASL, "success", "a refusal").map(drop);
    }
    ensure(ended.is_err(), || format!("a peer was authenticated as {domain}"))
}
