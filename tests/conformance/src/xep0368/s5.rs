//! XEP-0368 §5: the target `.`.

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 68,
    section: "XEP-0368 §5",
    sentence: "the target '.' of xmpps-server disables Direct TLS only: xmpp-server is tried, the address record is not",
    run: no_direct_tls,
}];

fn no_direct_tls(target: &Target) -> Finding {
    let outside = target.resolved()?;
    let domain = target.below(names::NO_DIRECT);
    let _waiting = target.make_verify(&domain)?;
    let _kept = target.answer_verification(&[&domain])?;

    let domain = target.below(names::ONLY_DISABLED_DIRECT);
    let _ = target.make_fail(&domain);
    ensure(outside.trap.clear() == 0, || {
        format!("{domain}: the target connected to its address record")
    })
}
