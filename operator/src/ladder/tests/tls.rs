//! `TLSVerified` during a renewal.

use std::time::Duration;

use super::*;
use crate::evidence::probe::Served;

/// The reason while a pod serves another certificate than the current one, which is that old.
fn during_a_renewal(age: Duration, change: fn(&mut Served)) -> String {
    reason(ConditionType::TLSVerified, |seen| {
        seen.certificate_age = age;
        let ProbeOutcome::Features { served, .. } = &mut seen.probes.probes[0].outcome else {
            panic!("no features")
        };
        served.sha256 = "bb".into();
        change(served);
    })
}

#[test]
fn a_renewal_is_no_fault_until_every_pod_had_time_to_load_it() {
    let soon = Duration::from_secs(119);
    assert_eq!(during_a_renewal(soon, |_| ()), "SelfSigned");
    assert_eq!(during_a_renewal(Duration::from_mins(2), |_| ()), "OldCertificateServed");
    // The earlier certificate must be as good.
    assert_eq!(
        during_a_renewal(soon, |served| served.covers_domain = false),
        "OldCertificateServed"
    );
    assert_eq!(during_a_renewal(soon, |served| served.not_after = now()), "OldCertificateServed");
}
