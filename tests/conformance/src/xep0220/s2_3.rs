//! XEP-0220 §2.3: directions.

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::target::{DIALBACK_FEATURES, Target};

pub(super) const CHECKS: &[Check] = &[Check {
    id: 50,
    section: "XEP-0220 §2.3",
    sentence: "a stream that is authenticated in one direction does not carry the other one",
    run: directions,
}];

fn directions(target: &Target) -> Finding {
    let mut inbound = target.dialback(&target.peer)?.stream;
    let _sending = if target.inside.is_some() {
        Some(target.make_send(&target.peer, "s50")?)
    } else {
        let (peer, domain) = (&target.peer, &target.domain);
        inbound.send(format!(
            "<iq type='get' from='romeo@{peer}/r' to='{domain}' id='s50'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))?;
        None
    };
    // The stanza must arrive on a connection that the target opens, and only after authentication there.
    let mut dialled = target.accept_dialled(&[&target.peer], DIALBACK_FEATURES)?.admit()?;
    let stanza = dialled.stanza()?;
    ensure(stanza.attribute("id") == Some("s50"), || stanza.to_string())
}
