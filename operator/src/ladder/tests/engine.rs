//! `EngineReady`: pods that the API server rejects, that have no replicas, or that exceed their memory limit.

use super::*;

/// The verdict about a workload without ready pods after a change.
fn without_pods(change: impl FnOnce(&mut Evidence)) -> Verdict {
    after(ConditionType::EngineReady, |seen| {
        seen.cluster.workload.as_mut().unwrap().ready = 0;
        seen.cluster.pods.clear();
        change(seen);
    })
}

fn rejected(message: &str) -> Verdict {
    without_pods(|seen| {
        seen.cluster.workload.as_mut().unwrap().replica_failure = Some(message.into());
    })
}

#[test]
fn pods_that_the_api_server_rejects_are_no_rollout_in_progress() {
    let policy = rejected(
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
    );
    assert_eq!(policy.reason.to_string(), "PodsRejected");
    assert!(policy.message.contains("exempt namespace im from it"), "{policy:?}");
    let priority = rejected("pods \"x\" is forbidden: no PriorityClass with name urgent was found");
    assert_eq!(priority.reason.to_string(), "PodsRejected");
    assert!(priority.message.contains("Check the settings that spec.pod adds"), "{priority:?}");
}

#[test]
fn a_deployment_without_replicas_is_named_with_what_restores_them() {
    let scaled = |seen: &mut Evidence| seen.cluster.workload.as_mut().unwrap().wanted = 0;
    let verdict = without_pods(scaled);
    assert_eq!(verdict.reason.to_string(), "ScaledDown");
    assert!(verdict.message.contains("The operator restores them"), "{verdict:?}");
    let mut paused = with_peer();
    paused["paused"] = json!(true);
    let verdict = of(&paused, ConditionType::EngineReady, |seen| {
        seen.cluster.workload.as_mut().unwrap().ready = 0;
        scaled(seen);
    });
    assert!(verdict.message.ends_with("Set spec.paused to false."), "{verdict:?}");
}

#[test]
fn an_engine_that_exceeds_its_memory_limit_is_told_so() {
    let verdict = without_pods(|seen| {
        seen.cluster.pods = vec![EnginePod {
            name: "example-1".into(),
            waiting: Some(("CrashLoopBackOff".into(), "back-off".into())),
            ended: Some((137, String::new())),
            out_of_memory: true,
            restarts: 3,
            ..EnginePod::default()
        }];
    });
    assert_eq!(verdict.reason.to_string(), "CrashLooping");
    assert!(verdict.message.contains("exceeded its memory limit"), "{verdict:?}");
    assert!(verdict.message.contains("limits.memory in spec.pod.resources"), "{verdict:?}");
}

#[test]
fn a_command_line_that_is_not_valid_is_no_rejected_configuration() {
    let words = "error: unexpected argument '--log' found\n\nUsage: federation-engine\n\nFor more information, try '--help'.\n";
    let verdict = without_pods(|seen| {
        seen.cluster.pods = vec![EnginePod {
            name: "example-1".into(),
            waiting: Some(("CrashLoopBackOff".into(), "back-off".into())),
            ended: Some((2, words.into())),
            ..EnginePod::default()
        }];
    });
    assert_eq!(verdict.reason.to_string(), "CrashLooping");
    let expected = "not valid: error: unexpected argument '--log' found. Undo what others changed in Deployment example.";
    assert!(verdict.message.ends_with(expected), "{verdict:?}");
}
