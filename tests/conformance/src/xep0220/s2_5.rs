//! XEP-0220 §2.5: dialback errors.

use s2s_peer::namespace::STANZA_ERRORS;

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 46,
    section: "XEP-0220 §2.5",
    sentence: "if the authoritative server is unreachable, the initiating server gets an error, not silence",
    run: unreachable,
}];

const CONDITIONS: [&str; 3] =
    ["remote-server-not-found", "remote-connection-failed", "remote-server-timeout"];

fn unreachable(target: &Target) -> Finding {
    for name in [names::NOWHERE, names::REFUSED] {
        let said = target.make_fail(&target.below(name))?;
        let named = said.children.iter().any(|error| {
            CONDITIONS.iter().any(|condition| error.child(STANZA_ERRORS, condition).is_some())
        });
        ensure(said.attribute("type") == Some("error") && named, || said.to_string())?;
    }
    Ok(())
}
