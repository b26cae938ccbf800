//! RFC 7590 §3: TLS in XMPP.

use s2s_peer::error::PeerError;
use s2s_peer::namespace::{DIALBACK, TLS};

use crate::Check;
use crate::dialled::Dialled;
use crate::outcome::{Finding, ensure, not_applicable};
use crate::target::{DIALBACK_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 16,
        section: "RFC 7590 §3.1",
        sentence: "STARTTLS is tried even if it is not offered, when TLS is wanted",
        run: tried_unoffered,
    },
    Check {
        id: 23,
        section: "RFC 7590 §3, XEP-0220 §2.1.2",
        sentence: "a policy that requires TLS also applies to connections that only verify a key",
        run: verification_is_encrypted,
    },
];

fn tried_unoffered(target: &Target) -> Finding {
    let _waiting = target.make_send(&target.peer, "s16")?;
    let mut stream = Dialled::greet(target.accept()?, DIALBACK_FEATURES)?.stream;
    let first = stream.element("STARTTLS although it is not offered")?;
    ensure(first.is(TLS, "starttls"), || {
        format!("when STARTTLS was not offered, the target sent: {first}")
    })
}

fn verification_is_encrypted(target: &Target) -> Finding {
    let features = target.clear(&target.header())?.features;
    let required = features
        .child(TLS, "starttls")
        .is_some_and(|starttls| starttls.child(TLS, "required").is_some());
    if !required {
        return not_applicable("the target does not require TLS");
    }
    let _waiting = target.make_verify(&target.peer)?;
    let mut stream = Dialled::greet(target.accept()?, DIALBACK_FEATURES)?.stream;
    match stream.element("STARTTLS, or the end of the stream") {
        Ok(first) => {
            ensure(first.namespace != DIALBACK, || format!("the target sent unencrypted: {first}"))
        }
        Err(PeerError::Deadline { awaited, .. }) => {
            ensure(false, || format!("{awaited} did not arrive"))
        }
        // The target closed the stream, with or without an error.
        Err(_) => Ok(()),
    }
}
