//! XEP-0185 §3: generation of a dialback key.

use s2s_peer::dialback::Secret;
use s2s_peer::namespace::DIALBACK;

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::target::{DIALBACK_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[Check {
    id: 39,
    section: "XEP-0185 §3, XEP-0220 §2.1.1",
    sentence: "the key is the HMAC-SHA256 of receiving, originating and id under the hashed \
               secret; for another stream it is invalid",
    run: keys,
}];

/// The example of XEP-0220 §2.1.1 and another one: secret, receiving, originating, id, first and last characters of the
/// key.
const KNOWN: [[&str; 6]; 2] = [
    ["s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F", "b4835385", "3df3"],
    ["d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25", "225cc5aa", "972d"],
];

fn keys(target: &Target) -> Finding {
    for [secret, receiving, originating, id, begin, end] in KNOWN {
        let key = Secret::new(secret).key(receiving, originating, id);
        ensure(key.starts_with(begin) && key.ends_with(end), || {
            format!("the suite itself computes {key} from a known secret")
        })?;
    }
    if let Some(secret) = &target.secret {
        let key = secret.key(&target.peer, &target.domain, "s39");
        ensure(confirmed(target, &key, "s39")?, || {
            "a key that was computed as specified is not confirmed".to_owned()
        })?;
        ensure(!confirmed(target, &key, "s39other")?, || {
            "a key is confirmed for another stream".to_owned()
        })?;
        return Ok(());
    }
    let _waiting = target.make_send(&target.peer, "s39")?;
    let mut dialled = target.accept_dialled(&[&target.peer], DIALBACK_FEATURES)?;
    let request = dialled.stream.expect(DIALBACK, "result", "a dialback key")?;
    let key = request.text.trim();
    ensure(confirmed(target, key, &dialled.id)?, || "its own key is not confirmed".to_owned())?;
    ensure(!confirmed(target, key, "another")?, || {
        "its key is confirmed for another stream".to_owned()
    })
}

/// Whether the target, queried as authoritative server, confirms the key as its own.
fn confirmed(target: &Target, key: &str, id: &str) -> Finding<bool> {
    let mut stream = target.encrypted(&target.header(), None)?.stream;
    let (peer, domain) = (&target.peer, &target.domain);
    stream.send(format!("<db:verify from='{peer}' to='{domain}' id='{id}'>{key}</db:verify>"))?;
    let answer = stream.expect(DIALBACK, "verify", "the verification of a dialback key")?;
    Ok(answer.attribute("type") == Some("valid"))
}
