//! RFC 7673 §3: DANE for SRV records.

use crate::conformance::Check;
use crate::conformance::outcome::{Finding, not_applicable};
use crate::conformance::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 28,
    section: "RFC 7673 §3, §4.2",
    sentence: "DANE: a bogus answer ends the search; with a secure TLSA of usage DANE-EE names and dates are ignored",
    run: dane,
}];

fn dane(_: &Target) -> Finding {
    not_applicable("not tested: the suite has no signed zone")
}
