//! Both machines against each other, every preset against every preset (the idea of XEP-0238, with our own rows).

use super::*;
use crate::stream::Authentication;

/// The result of a stream from `us.example` to `them.example`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Outcome {
    encrypted: bool,
    by: Authentication,
}

/// The sides that have a certificate that the other side trusts.
#[derive(Clone, Copy)]
struct Trust {
    ours: bool,
    theirs: bool,
}

/// Runs a stream until nothing changes any more. The initiating world itself answers the db:verify request, as its
/// authoritative server would.
fn run(ours: Profile, theirs: Profile, trust: Trust) -> Option<Outcome> {
    let mut us = World::new(ours);
    let mut them = World::mirrored(theirs);
    if trust.theirs {
        us.authenticated.push(domain("them.example"));
    }
    if trust.ours {
        them.authenticated.push(domain("us.example"));
    }
    let mut initiating = Initiating::new(Initiating::send_purpose());
    let mut receiving = Receiving::new();
    let mut to_them = initiating.begin(&us);
    let mut to_us = String::new();
    let (mut seen_us, mut seen_them) = (0, 0);
    while !to_them.is_empty() || !to_us.is_empty() {
        to_us += &receiving.send(&std::mem::take(&mut to_them), &them);
        for index in seen_them..receiving.actions.len() {
            if let Action::Verify { pair, id, key } = &receiving.actions[index] {
                let valid = us.key_is_ours(&pair.to, &pair.from, id.as_str(), key);
                assert!(valid, "both sides make the same key of {pair} {id}");
                to_us += &receiving.verified(crate::dialback::KeyVerdict::Valid);
            }
        }
        seen_them = receiving.actions.len();
        to_them += &initiating.send(&std::mem::take(&mut to_us), &us);
        let handshake = initiating.actions[seen_us..]
            .iter()
            .any(|action| matches!(action, Action::ConnectTls { .. }));
        seen_us = initiating.actions.len();
        if handshake {
            receiving.tls();
            to_them += &initiating.tls(&us);
        }
    }
    let wanted = pair("us.example", "them.example");
    assert_eq!(
        initiating.machine.carries(&wanted),
        receiving.authorized().contains(&wanted),
        "both sides agree: {ours:?} {theirs:?}"
    );
    assert_eq!(initiating.machine.carries(&wanted), initiating.failure().is_none());
    initiating.machine.carries(&wanted).then(|| {
        let by = how(&receiving).unwrap();
        // How a key was confirmed matters only to the receiving side.
        let seen = if by == Authentication::External { by } else { Authentication::Dialback };
        assert_eq!(how(&initiating), Some(seen), "{ours:?} {theirs:?}");
        Outcome { encrypted: initiating.machine.is_encrypted(), by }
    })
}

fn how<M>(side: &Side<M>) -> Option<Authentication> {
    side.actions.iter().find_map(|action| match action {
        Action::Authorized { how, .. } => Some(*how),
        _ => None,
    })
}

const EXTERNAL: Option<Outcome> = Some(Outcome { encrypted: true, by: Authentication::External });
const TLS_DIALBACK: Option<Outcome> =
    Some(Outcome { encrypted: true, by: Authentication::Dialback });
/// Dialback that their side confirms by our certificate (XEP-0344).
const CONFIRMED: Option<Outcome> =
    Some(Outcome { encrypted: true, by: Authentication::DialbackByCertificate });
const DIALBACK: Option<Outcome> = Some(Outcome { encrypted: false, by: Authentication::Dialback });

#[test]
fn with_valid_certificates_on_both_sides() {
    use Profile::{CiscoExpressway, CiscoImp, LegacyDialback, Standards, Strict, WebexMessenger};
    let all = [Standards, Strict, CiscoImp, CiscoExpressway, WebexMessenger, LegacyDialback];
    let expected = [
        // them:  Standards     Strict    CiscoImp      Expressway    Webex         Legacy
        [EXTERNAL, EXTERNAL, EXTERNAL, TLS_DIALBACK, TLS_DIALBACK, None],
        [EXTERNAL, EXTERNAL, EXTERNAL, None, None, None],
        [EXTERNAL, EXTERNAL, EXTERNAL, TLS_DIALBACK, TLS_DIALBACK, DIALBACK],
        [CONFIRMED, None, CONFIRMED, TLS_DIALBACK, TLS_DIALBACK, None],
        [CONFIRMED, None, CONFIRMED, TLS_DIALBACK, TLS_DIALBACK, DIALBACK],
        [None, None, DIALBACK, None, DIALBACK, DIALBACK],
    ];
    for (ours, row) in all.iter().zip(expected) {
        for (theirs, expected) in all.iter().zip(row) {
            let outcome = run(*ours, *theirs, Trust { ours: true, theirs: true });
            assert_eq!(outcome, expected, "{ours:?} -> {theirs:?}");
        }
    }
}

#[test]
fn with_self_signed_certificates() {
    use Profile::{Standards, Strict, WebexMessenger};
    let nobody = Trust { ours: false, theirs: false };
    assert_eq!(run(Standards, Standards, nobody), TLS_DIALBACK);
    assert_eq!(run(Standards, WebexMessenger, nobody), TLS_DIALBACK);
    assert_eq!(run(Standards, Strict, nobody), None);
    assert_eq!(run(Strict, Standards, nobody), None);
    // Only the certificate of the side that must authenticate matters, unless both are required.
    assert_eq!(run(Standards, Standards, Trust { ours: true, theirs: false }), EXTERNAL);
    assert_eq!(run(Standards, Standards, Trust { ours: false, theirs: true }), TLS_DIALBACK);
    assert_eq!(run(Strict, Strict, Trust { ours: true, theirs: false }), None);
    assert_eq!(run(Strict, Strict, Trust { ours: false, theirs: true }), None);
}

#[test]
fn no_two_presets_end_in_the_clear_where_one_requires_tls() {
    for ours in Profile::ALL {
        for theirs in Profile::ALL {
            for trust in [
                Trust { ours: false, theirs: false },
                Trust { ours: true, theirs: false },
                Trust { ours: false, theirs: true },
            ] {
                let outcome = run(ours, theirs, trust);
                let required = [ours, theirs].iter().any(|p| rules(*p).tls == TlsMode::Required);
                assert!(!required || outcome.is_none_or(|outcome| outcome.encrypted));
            }
        }
    }
}
