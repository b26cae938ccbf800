//! `Accepted`: what the API server refuses, and what it does not let the operator read.

use super::*;
use crate::schema::Difference;

#[test]
fn accepted() {
    let rung = ConditionType::Accepted;
    for (cause, word, advice) in [
        (Cause::Foreign, "AdoptionConflict", "Delete or rename it"),
        (Cause::NotPermitted, "NotPermitted", "Bind the chart's role"),
        (Cause::Invalid, "InvalidSpec", "Correct that field of the spec"),
        (Cause::Quota, "ApplyFailed", "Raise the resource quota of namespace im"),
        (Cause::Exhausted, "ApplyFailed", "Delete Services that are no longer needed"),
        (Cause::Denied, "ApplyFailed", "exempt namespace im"),
        (Cause::WebhookFailed, "ApplyFailed", "Repair the webhook"),
        (Cause::KindMissing, "ApplyFailed", "CustomResourceDefinition"),
        (Cause::Failed, "ApplyFailed", "The operator retries"),
    ] {
        let verdict = after(rung, |seen| seen.applied.problems = vec![refused("Service", cause)]);
        assert_eq!(verdict.reason.to_string(), word);
        assert!(verdict.message.contains(advice), "{verdict:?}");
        let quoted = verdict.message.contains("the server's own words");
        assert!(quoted || cause == Cause::Foreign, "{verdict:?}");
    }
    // The most specific cause is named first, and every other object after it.
    let several = after(rung, |seen| {
        seen.applied.problems =
            vec![refused("Secret", Cause::Failed), refused("Service", Cause::Quota)];
    });
    assert!(several.message.starts_with("Cannot apply Service example"), "{several:?}");
    assert!(several.message.ends_with("Also affected: Secret example."), "{several:?}");
    assert_eq!(reason(rung, |seen| seen.applied.pending = true), "Pending");
    let mut spec = smallest();
    spec["peerDefaults"] = json!({"probe": {"to": "echo@partner.example"}});
    let verdict = of(&spec, rung, |_| {});
    assert_eq!(verdict.reason.to_string(), "Accepted");
    assert!(verdict.message.contains("Not in effect yet: peerDefaults.probe.to."), "{verdict:?}");
}

#[test]
fn what_the_api_server_refuses_never_hides_another_verdict() {
    let federation = validated(&with_peer());
    let mut seen = evidence(&federation);
    seen.applied.problems = vec![refused("Deployment", Cause::WebhookFailed)];
    let judged = verdicts(View { federation: &federation, seen: &seen });
    for verdict in judged.iter().skip(1) {
        assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
    }
    // Nobody serves, and the Deployment cannot be repaired: that is what the status says.
    seen.cluster.workload.as_mut().unwrap().ready = 0;
    seen.cluster.pods.clear();
    let judged = verdicts(View { federation: &federation, seen: &seen });
    let engine = judged.iter().find(|v| v.type_() == ConditionType::EngineReady).unwrap();
    assert_eq!(engine.status(), ConditionStatus::False);
    let ready = ready::check(&judged, &ready::Gates::default());
    assert_eq!(ready.status(), ConditionStatus::False);
    assert!(ready.message.contains("the server's own words"), "{ready:?}");
}

#[test]
fn what_cannot_be_read_is_unknown_in_the_words_of_the_api_server() {
    for (kind, rung) in [
        ("Secret", ConditionType::ResolvedRefs),
        ("Secret", ConditionType::CertificateReady),
        ("Secret", ConditionType::TLSVerified),
        ("Deployment", ConditionType::EngineReady),
        ("Pod", ConditionType::EngineReady),
        ("Service", ConditionType::AddressAssigned),
    ] {
        let verdict = after(rung, |seen| {
            let problem = refused(kind, Cause::NotPermitted);
            seen.applied.problems = vec![Problem { step: Step::Read, ..problem }];
        });
        assert_eq!(verdict.reason.to_string(), "EvidenceUnavailable", "{kind} {rung}");
        assert!(verdict.message.contains("the server's own words"), "{verdict:?}");
    }
}

#[test]
fn a_definition_of_another_version_is_named_and_fails_nothing() {
    let fields = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for (missing, unknown, reason, words) in [
        (&["spec.peers"][..], &["spec.future"][..], "DefinitionOutdated", "it lacks spec.peers,"),
        (
            &["spec.a", "spec.b", "spec.c", "spec.d=E"][..],
            &[][..],
            "DefinitionOutdated",
            "spec.c and 1 more",
        ),
        (&[][..], &["spec.mode=New"][..], "OperatorOutdated", "ignores spec.mode (New). Upgrade"),
    ] {
        let difference = Difference { missing: fields(missing), unknown: fields(unknown) };
        let verdict = after(ConditionType::Accepted, |seen| seen.definition = difference);
        assert_eq!(verdict.status(), ConditionStatus::True);
        assert_eq!(verdict.reason.to_string(), reason);
        assert!(verdict.message.contains(words), "{}", verdict.message);
    }
    let newer = Difference { missing: vec![], unknown: fields(&["spec.future"]) };
    let verdict = crate::ladder::accepted::unreadable("unknown variant `New`".to_owned(), &newer);
    assert_eq!(verdict.reason.to_string(), "InvalidSpec");
    assert!(verdict.message.contains("newer than this operator"), "{}", verdict.message);
}
