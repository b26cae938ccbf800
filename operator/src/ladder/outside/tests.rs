//! What probers see, at one fixed moment.

use crds::condition::ConditionType;
use federation_engine::observe::evidence::InboundKind;
use serde_json::{Value, json};

use super::*;
use crate::evidence::Evidence;
use crate::evidence::engine::Report;
use crate::evidence::prober::OutsideReport;
use crate::evidence::reported::ReportedProbe;
use crate::fixtures::{ADDRESS, evidence, now, smallest, validated};
use crate::ladder::verdict::Verdict;
use crate::ladder::{climb, ready};

fn result(outcome: OutsideOutcome) -> OutsideResult {
    OutsideResult {
        address: Some(format!("{ADDRESS}:5269").parse().unwrap()),
        domain: "example.com".parse().unwrap(),
        mode: OutsideMode::StartTls,
        outcome,
    }
}

fn reached(certificate: &str) -> OutsideOutcome {
    OutsideOutcome::Reached {
        tls: "TLSv1.3".to_owned(),
        certificate: certificate.to_owned(),
        names: vec!["other.example".to_owned()],
    }
}

fn report(prober: &str, outcome: OutsideOutcome) -> OutsideReport {
    let found = Ok(vec![result(outcome)]);
    OutsideReport { prober: prober.to_owned(), at: now(), since: now(), found }
}

/// The verdict when no peer has connected, after a change.
fn verdict(spec: &Value, change: impl FnOnce(&mut Evidence)) -> Verdict {
    judged(spec, true, change)
}

fn judged(spec: &Value, alone: bool, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let federation = validated(spec);
    let mut seen = evidence(&federation);
    if alone {
        let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
        std::sync::Arc::make_mut(report).inbound.clear();
    }
    change(&mut seen);
    let all = climb(View { federation: &federation, seen: &seen });
    let rung = |verdict: &Verdict| verdict.type_() == ConditionType::InboundReachable;
    all.into_iter().map(|judged| judged.verdict).find(rung).unwrap()
}

fn probed(outcome: OutsideOutcome) -> Verdict {
    verdict(&smallest(), |seen| seen.outside.reports = vec![report("probe.example", outcome)])
}

#[test]
fn each_failure_of_a_prober_has_its_reason_and_names_the_culprit() {
    let detail = || "x".to_owned();
    for (outcome, reason, words) in [
        (reached("aa"), "ProbeSucceeded", "Prober probe.example opened a stream"),
        (OutsideOutcome::Refused, "ProbeRefused", "The load balancer has no listener for TCP 5269"),
        (OutsideOutcome::TimedOut, "ProbeTimedOut", "A firewall between the internet and the load"),
        (
            OutsideOutcome::Reset { detail: detail() },
            "ProbeReset",
            "A firewall that inspects TCP 5269",
        ),
        (
            OutsideOutcome::Stalled { detail: detail() },
            "ProbeTimedOut",
            "check the MTU of the path",
        ),
        (reached("bb"), "ProbeWrongCertificate", "a certificate for other.example"),
        (OutsideOutcome::NotXmpp { detail: detail() }, "ProbeNotXMPP", "does not speak XMPP: x"),
        (OutsideOutcome::StartTlsNotOffered, "ProbeFailed", "removes STARTTLS"),
        (
            OutsideOutcome::HandshakeFailed { detail: detail() },
            "ProbeFailed",
            "handshake failed: x",
        ),
        (
            OutsideOutcome::StreamError { condition: "host-unknown".into(), text: detail() },
            "ProbeFailed",
            "closed the stream with host-unknown (\"x\")",
        ),
        (OutsideOutcome::NoAddress { detail: detail() }, "ProbeFailed", "See HostResolves"),
        // The prober's own limits.
        (OutsideOutcome::NoRoute, "NoOutsideEvidence", "it has no route to 192.0.2.7:5269"),
        (OutsideOutcome::NotAllowed { detail: detail() }, "NoOutsideEvidence", "--allow-network"),
    ] {
        let verdict = probed(outcome);
        assert_eq!(verdict.reason.to_string(), reason, "{verdict:?}");
        assert!(verdict.message.contains(words), "{verdict:?}");
    }
}

#[test]
fn behind_nat_the_message_names_the_mapping() {
    let mut spec = smallest();
    spec["service"] = json!({"publicAddresses": [ADDRESS], "publicPorts": {"s2s": 5299}});
    for (outcome, words) in [
        (OutsideOutcome::Refused, "The firewall or NAT device rejects TCP 5299"),
        (OutsideOutcome::TimedOut, "The firewall or NAT device drops TCP 5299"),
        (reached("bb"), "The NAT mapping of TCP 5299 leads to another server"),
    ] {
        let verdict = verdict(&spec, |seen| {
            seen.cluster.service.as_mut().unwrap().address =
                Some(Address::Ips(vec!["10.7.0.1".parse().unwrap()]));
            let mut report = report("probe.example", outcome);
            let results = report.found.as_mut().unwrap();
            results[0].address.as_mut().unwrap().set_port(5299);
            seen.outside.reports = vec![report];
        });
        assert!(verdict.message.contains(words), "{verdict:?}");
        assert!(verdict.message.contains("ap it to 10.7.0.1:5269"), "{verdict:?}");
    }
}

#[test]
fn source_ranges_are_named_before_a_firewall() {
    let mut spec = smallest();
    spec["service"] = json!({"loadBalancerSourceRanges": ["198.51.100.0/24"]});
    let verdict = verdict(&spec, |seen| {
        seen.outside.reports = vec![report("probe.example", OutsideOutcome::TimedOut)];
    });
    assert!(
        verdict.message.contains("loadBalancerSourceRanges admits only 198.51.100.0/24"),
        "{verdict:?}"
    );
}

#[test]
fn two_probers_that_disagree_are_both_quoted() {
    let verdict = verdict(&smallest(), |seen| {
        seen.outside.reports =
            vec![report("a.example", OutsideOutcome::TimedOut), report("b.example", reached("aa"))];
    });
    assert_eq!(verdict.reason.to_string(), "ProbersDisagree");
    assert!(verdict.message.contains("Prober a.example cannot connect"), "{verdict:?}");
    assert!(verdict.message.contains("Prober b.example connects"), "{verdict:?}");
}

#[test]
fn a_peer_that_connects_while_a_prober_fails_is_quoted_and_one_from_before_is_not() {
    for (after, reason) in [(1, "ProbersDisagree"), (-1, "ProbeRefused")] {
        let verdict = judged(&smallest(), false, |seen| {
            seen.outside.reports = vec![report("probe.example", OutsideOutcome::Refused)];
            let Report::Seen(engine) = &mut seen.engines[0].report else { panic!("no report") };
            let inbound = &mut std::sync::Arc::make_mut(engine).inbound[0];
            inbound.kind = InboundKind::StreamAuthenticated;
            inbound.at = now() + SignedDuration::from_secs(after);
        });
        assert_eq!(verdict.reason.to_string(), reason, "{verdict:?}");
    }
}

#[test]
fn a_result_about_another_address_port_or_domain_does_not_count() {
    let changes: [fn(&mut OutsideResult); 3] = [
        |result| result.address = Some("192.0.2.8:5269".parse().unwrap()),
        |result| result.address = Some(format!("{ADDRESS}:5299").parse().unwrap()),
        |result| result.domain = "other.example".parse().unwrap(),
    ];
    for change in changes {
        let verdict = verdict(&smallest(), |seen| {
            let mut report = report("probe.example", OutsideOutcome::Refused);
            report.found.iter_mut().flatten().for_each(change);
            seen.outside.reports = vec![report];
        });
        assert_eq!(verdict.reason.to_string(), "NoOutsideEvidence");
    }
}

#[test]
fn a_prober_that_cannot_be_used_is_named_and_changes_nothing() {
    let unusable = |alone| {
        judged(&smallest(), alone, |seen| {
            let mut report = report("probe.example", OutsideOutcome::Refused);
            report.found = Err("it has another token".to_owned());
            seen.outside.reports = vec![report];
        })
    };
    assert_eq!(unusable(false).reason.to_string(), "InboundObserved");
    let verdict = unusable(true);
    assert_eq!(verdict.reason.to_string(), "NoOutsideEvidence");
    let words = "Cannot use prober probe.example: it has another token.";
    assert!(verdict.message.ends_with(words), "{verdict:?}");
}

fn reported(outcome: OutsideOutcome, minutes_ago: i64) -> ReportedProbe {
    ReportedProbe {
        prober: "laptop (reported by alice)".to_owned(),
        source: Some("203.0.113.9".parse().unwrap()),
        at: now() - SignedDuration::from_mins(minutes_ago),
        results: vec![result(outcome)],
    }
}

fn with_reports(reports: Vec<ReportedProbe>) -> Verdict {
    verdict(&smallest(), |seen| seen.reported = reports)
}

#[test]
fn a_reported_probe_counts_for_its_time_and_its_words_name_who_saw_what_from_where() {
    for (outcome, minutes_ago, reason, words) in [
        (reached("aa"), 60, "ProbeReported", "Prober laptop (reported by alice) opened a stream"),
        (reached("aa"), 25 * 60, "NoOutsideEvidence", "No server outside"),
        (OutsideOutcome::Refused, 5, "ProbeRefused", "Prober laptop (reported by alice) cannot"),
        (OutsideOutcome::Refused, 11, "NoOutsideEvidence", "No server outside"),
        // The clock of the API server is ahead.
        (reached("aa"), -60, "ProbeReported", "A user made this probe"),
    ] {
        let verdict = with_reports(vec![reported(outcome, minutes_ago)]);
        assert_eq!(verdict.reason.to_string(), reason, "{verdict:?}");
        assert!(
            verdict.message.starts_with(words) || verdict.message.contains(words),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_reported_probe_counts_only_for_the_current_addresses_and_the_current_federation() {
    let moved = verdict(&smallest(), |seen| {
        seen.reported = vec![reported(reached("aa"), 60)];
        seen.address_changed = Some(now() - SignedDuration::from_mins(1));
    });
    assert_eq!(moved.reason.to_string(), "NoOutsideEvidence");
    let mut elsewhere = reported(OutsideOutcome::Refused, 1);
    elsewhere.results[0].address = Some("192.0.2.8:5269".parse().unwrap());
    assert_eq!(with_reports(vec![elsewhere]).reason.to_string(), "NoOutsideEvidence");
    // The federation of the fixtures is younger.
    let mut before = reported(reached("aa"), 0);
    before.at = "2026-05-31T00:00:00Z".parse().unwrap();
    let earlier = verdict(&smallest_with_ttl(), |seen| seen.reported = vec![before]);
    assert_eq!(earlier.reason.to_string(), "NoOutsideEvidence");
}

/// Evidence lasts longer than the federation exists.
fn smallest_with_ttl() -> Value {
    let mut spec = smallest();
    spec["verification"] = json!({"evidenceTtl": "720h"});
    spec
}

#[test]
fn a_probe_from_an_address_of_the_cluster_does_not_count_and_the_message_says_so() {
    let mut inside = reported(reached("aa"), 1);
    inside.source = Some("10.1.0.9".parse().unwrap());
    let verdict = with_reports(vec![inside]);
    assert_eq!(verdict.reason.to_string(), "NoOutsideEvidence");
    let words = "The probe from laptop (reported by alice) does not count, because its address 10.1.0.9 belongs to the cluster.";
    assert!(verdict.message.ends_with(words), "{verdict:?}");
}

#[test]
fn a_newer_success_ends_a_reported_failure_and_a_simultaneous_one_contradicts_it() {
    let failed = |minutes| reported(OutsideOutcome::Refused, minutes);
    let other = |minutes| ReportedProbe {
        prober: "office (reported by bob)".to_owned(),
        ..reported(reached("aa"), minutes)
    };
    for (fault, success, reason) in [
        (5, 1, "ProbeReported"),
        (2, 1, "ProbersDisagree"),
        // A success from before the fault says nothing about it.
        (1, 5, "ProbeRefused"),
    ] {
        let verdict = with_reports(vec![failed(fault), other(success)]);
        assert_eq!(verdict.reason.to_string(), reason, "{verdict:?}");
    }
    // What a prober sees now is newer than what a user saw.
    let repaired = verdict(&smallest(), |seen| {
        seen.reported = vec![failed(5)];
        seen.outside.reports = vec![report("probe.example", reached("aa"))];
    });
    assert_eq!(repaired.reason.to_string(), "ProbeSucceeded");
}

#[test]
fn ready_says_that_a_user_reported_the_only_evidence_from_outside() {
    let federation = validated(&smallest());
    let mut seen = evidence(&federation);
    let Report::Seen(engine) = &mut seen.engines[0].report else { panic!("no report") };
    std::sync::Arc::make_mut(engine).inbound.clear();
    seen.reported = vec![reported(reached("aa"), 1)];
    let rungs: Vec<Verdict> = climb(View { federation: &federation, seen: &seen })
        .into_iter()
        .map(|judged| judged.verdict)
        .collect();
    let ready = ready::check(&rungs, &ready::Gates::default());
    assert_eq!(ready.reason.to_string(), "Federated", "{ready:?}");
    assert!(ready.message.contains("is what a user reported"), "{ready:?}");
}
