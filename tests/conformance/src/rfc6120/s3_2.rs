//! RFC 6120 §3.2: resolution of the server.

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 67,
    section: "RFC 6120 §3.2.1",
    sentence: "if SRV records exist, address records of the domain are not tried; the target '.' ends the search",
    run: no_fallback,
}];

fn no_fallback(target: &Target) -> Finding {
    target.resolved()?;
    for name in [names::REFUSED, names::DISABLED] {
        let foreign = target.below(name);
        // A target that does not report its failure (XEP-0220 §2.5) has also failed by then.
        let _ = target.make_fail(&foreign);
        ensure(target.outside()?.trap.clear() == 0, || {
            format!("{foreign}: the target connected to its address record")
        })?;
    }
    Ok(())
}
