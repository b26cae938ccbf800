//! `Ready`, which follows from the other rungs.

use super::*;

/// The verdict `Ready` for a spec after a change of the evidence.
fn ready_after(spec: &Value, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let federation = validated(spec);
    let mut seen = evidence(&federation);
    change(&mut seen);
    let view = View { federation: &federation, seen: &seen };
    let gates = ready::Gates {
        require_outside_evidence: federation.spec.verification.require_outside_evidence,
        required_peer: peers::required_failing(view),
        ..ready::Gates::default()
    };
    ready::check(&verdicts(view), &gates)
}

#[test]
fn ready_follows_from_the_rungs() {
    let no_evidence = |seen: &mut Evidence| engine(seen, |report| report.inbound.clear());
    let no_peer = |seen: &mut Evidence| {
        engine(seen, |r| {
            let stream = r.peers[0].outbound.as_mut().unwrap();
            stream.connected = false;
            stream.reason = Word::ConnectRefused;
        });
    };
    let outcome = |verdict: Verdict| (verdict.status(), verdict.reason.to_string());
    let spec = with_peer();
    let federated = outcome(ready_after(&spec, |_| {}));
    assert_eq!(federated, (ConditionStatus::True, "Federated".into()));
    let unverified = outcome(ready_after(&spec, no_evidence));
    assert_eq!(unverified, (ConditionStatus::True, "FederatedUnverified".into()));
    let mut strict = with_peer();
    strict["verification"] = json!({"requireOutsideEvidence": true});
    let blocked = outcome(ready_after(&strict, no_evidence));
    assert_eq!(blocked, (ConditionStatus::Unknown, "Unverified".into()));

    assert_eq!(outcome(ready_after(&spec, no_peer)).0, ConditionStatus::True);
    let mut required = with_peer();
    required["peers"][0]["required"] = json!(true);
    let lost = outcome(ready_after(&required, no_peer));
    assert_eq!(lost, (ConditionStatus::False, "PeersReachable".into()));

    let first = outcome(ready_after(&spec, |seen| {
        seen.dns.host = reported([].into());
        seen.dns.services[0].1 = reported([].into());
    }));
    assert_eq!(first, (ConditionStatus::False, "HostResolves".into()));
    let open = outcome(ready_after(&spec, |seen| seen.probes = ProbeEvidence::default()));
    assert_eq!(open, (ConditionStatus::Unknown, "Progressing".into()));
}
