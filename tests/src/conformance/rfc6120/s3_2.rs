//! RFC 6120 §3.2: finding the server.

use crate::conformance::Check;
use crate::conformance::outcome::{Finding, ensure};
use crate::conformance::outside::names;
use crate::conformance::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 67,
    section: "RFC 6120 §3.2.1",
    sentence: "where SRV records answer, address records of the domain are not tried; the target '.' ends the search",
    run: no_fallback,
}];

fn no_fallback(target: &Target) -> Finding {
    for name in [names::REFUSED, names::DISABLED] {
        let foreign = target.below(name);
        let said = target.make_fail(&foreign);
        let trapped = target.outside()?.trap.clear();
        ensure(trapped == 0, || format!("{foreign}: its address record was tried"))?;
        let said = said?;
        ensure(said.attribute("type") == Some("error"), || said.to_string())?;
    }
    Ok(())
}
