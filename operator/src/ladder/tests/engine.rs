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
            memory_limit: Some("8Mi".into()),
            restarts: 3,
            ..EnginePod::default()
        }];
    });
    assert_eq!(verdict.reason.to_string(), "CrashLooping");
    for part in ["memory limit of 8Mi (OOMKilled)", "limits.memory in spec.pod.resources"] {
        assert!(verdict.message.contains(part), "{part}: {verdict:?}");
    }
}

#[test]
fn an_engine_that_refuses_its_memory_limit_is_quoted() {
    let words = "federation-engine: the memory limit of 10485760 bytes is too small";
    let verdict = without_pods(|seen| {
        seen.cluster.pods = vec![EnginePod {
            name: "example-1".into(),
            waiting: Some(("CrashLoopBackOff".into(), "back-off".into())),
            ended: Some((4, words.into())),
            ..EnginePod::default()
        }];
    });
    assert_eq!(verdict.reason.to_string(), "CrashLooping");
    for part in [words, "Raise limits.memory in spec.pod.resources"] {
        assert!(verdict.message.contains(part), "{part}: {verdict:?}");
    }
}

#[test]
fn an_engine_that_closes_connections_for_want_of_memory_is_no_other_program() {
    let federation = validated(&with_peer());
    let mut seen = evidence(&federation);
    engine(&mut seen, |report| {
        report.memory_shortage =
            Some(MemoryShortage { limit: 24 << 20, by_configuration: false, minimum: 32 << 20 });
    });
    // What the operator's own connections see.
    seen.probes.probes[0].outcome = ProbeOutcome::NotXmpp("the connection was closed".into());
    let all = verdicts(View { federation: &federation, seen: &seen });
    let of = |type_| all.iter().find(|verdict| verdict.type_() == type_).unwrap();
    let verdict = of(ConditionType::EngineReady);
    assert_eq!(verdict.reason.to_string(), "MemoryExhausted");
    for part in [
        "example-1",
        "memory limit of 24Mi",
        "limits.memory in spec.pod.resources to at least 32Mi",
    ] {
        assert!(verdict.message.contains(part), "{part}: {verdict:?}");
    }
    for waiting in [ConditionType::TLSVerified, ConditionType::StreamVerified] {
        assert_eq!(of(waiting).reason.to_string(), "WaitingForEngineReady");
    }
    engine(&mut seen, |report| {
        report.memory_shortage =
            Some(MemoryShortage { limit: 100 << 20, by_configuration: true, minimum: 32 << 20 });
    });
    let all = verdicts(View { federation: &federation, seen: &seen });
    let verdict = all.iter().find(|verdict| verdict.type_() == ConditionType::EngineReady).unwrap();
    assert!(
        verdict
            .message
            .contains("has used its memory limit of 100Mi. Raise spec.limits.memoryBytes"),
        "{verdict:?}"
    );
}

#[test]
fn a_pod_that_the_kubelet_cannot_start_is_named_with_the_kubelets_words() {
    let created = |warning: Option<(&str, &str)>, waiting: (&str, &str)| {
        without_pods(|seen| {
            seen.cluster.pods = vec![EnginePod {
                name: "example-1".into(),
                waiting: Some((waiting.0.into(), waiting.1.into())),
                warning: warning.map(|(reason, message)| (reason.into(), message.into())),
                memory_limit: Some("2Mi".into()),
                ..EnginePod::default()
            }];
        })
    };
    let creating = ("ContainerCreating", "");
    assert_eq!(created(None, creating).reason.to_string(), "RollingOut");
    let words = "MountVolume.SetUp failed for volume \"more\" : secret \"missing\" not found";
    let verdict = created(Some(("FailedMount", words)), creating);
    assert_eq!(verdict.reason.to_string(), "PodStartFailed");
    let expected = format!(
        "The kubelet cannot start engine pod example-1 (FailedMount): {words}. Check the node, the settings that spec.pod adds, and what others changed in Deployment example."
    );
    assert_eq!(verdict.message, expected);
    let words = "container init was OOM-killed (memory limit too low?)";
    let verdict = created(Some(("FailedCreatePodSandBox", words)), creating);
    let expected = format!(
        "The kubelet cannot start engine pod example-1 (FailedCreatePodSandBox): {words}. The memory limit of 2Mi is too small to start a container. Raise limits.memory in spec.pod.resources; the default is 512Mi."
    );
    assert_eq!(verdict.message, expected);
    let words =
        "failed to start containerd task \"engine\": cannot start a stopped process: unknown";
    let verdict = created(None, ("RunContainerError", words));
    assert!(verdict.message.contains("The memory limit of 2Mi is too small"), "{verdict:?}");
    let verdict = created(None, ("CreateContainerConfigError", "secret \"missing\" not found"));
    assert_eq!(verdict.reason.to_string(), "PodStartFailed");
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

#[test]
fn a_rollout_that_cannot_go_on_is_named_while_earlier_pods_serve() {
    let rung = ConditionType::EngineReady;
    let rollout = |age: i64, change: fn(&mut EnginePod)| {
        after(rung, |seen| {
            seen.cluster.pods[0].revision = Some("old".into());
            let mut pod = EnginePod {
                name: "example-2".into(),
                created: Some(now() - SignedDuration::from_secs(age)),
                revision: Some("new".into()),
                ..EnginePod::default()
            };
            change(&mut pod);
            seen.cluster.pods.push(pod);
        })
    };
    let pulls = |pod: &mut EnginePod| {
        let words = "Back-off pulling image \"x\": ErrImagePull: x: not found".to_owned();
        pod.waiting = Some(("ImagePullBackOff".into(), words));
    };
    let stuck = rollout(15, pulls);
    assert_eq!(stuck.reason.to_string(), "ImagePullFailed");
    let words = "The image of engine pod example-2 cannot be pulled (ErrImagePull): x: not found.";
    assert!(stuck.message.starts_with(words), "{stuck:?}");
    assert!(stuck.message.contains("1 pod of an earlier revision still serves"), "{stuck:?}");
    assert_eq!(rollout(2, pulls).reason.to_string(), "EngineAvailable", "the first attempt");
    let starts =
        |pod: &mut EnginePod| pod.waiting = Some(("ContainerCreating".into(), String::new()));
    assert_eq!(rollout(15, starts).reason.to_string(), "EngineAvailable");
    let nowhere = |pod: &mut EnginePod| pod.unschedulable = Some("0/1 nodes".into());
    assert_eq!(rollout(15, nowhere).reason.to_string(), "Unschedulable");
    // A pod of an earlier revision that fails while it is being replaced is no stuck rollout.
    let earlier = after(rung, |seen| {
        seen.cluster.pods[0].revision = Some("new".into());
        seen.cluster.pods.push(EnginePod {
            waiting: Some(("CrashLoopBackOff".into(), String::new())),
            created: Some(now() - SignedDuration::from_hours(2)),
            revision: Some("old".into()),
            ..EnginePod::default()
        });
    });
    assert_eq!(earlier.reason.to_string(), "EngineAvailable");
    let quota = after(rung, |seen| {
        seen.cluster.workload.as_mut().unwrap().replica_failure =
            Some("pods x is forbidden: exceeded quota: small".into());
    });
    assert_eq!(quota.reason.to_string(), "QuotaExceeded");
}

#[test]
fn what_still_serves_is_judged_although_the_rollout_is_stuck() {
    let federation = validated(&with_peer());
    let mut seen = evidence(&federation);
    seen.cluster.workload.as_mut().unwrap().replica_failure = Some("exceeded quota".into());
    let verdicts = verdicts(View { federation: &federation, seen: &seen });
    for verdict in &verdicts {
        let expected = match verdict.type_() {
            ConditionType::EngineReady => ConditionStatus::False,
            _ => ConditionStatus::True,
        };
        assert_eq!(verdict.status(), expected, "{verdict:?}");
    }
    let gates = ready::Gates { rolling_out: true, rollout_stuck: true, ..ready::Gates::default() };
    let stalled = ready::stalled(&verdicts, &gates).unwrap();
    assert_eq!(stalled.reason.to_string(), "RolloutStuck");
    let ready = ready::check(&verdicts, &gates);
    assert_eq!(ready::reconciling(&verdicts, &gates, &ready), None);
}

#[test]
fn engine_ready() {
    let rung = ConditionType::EngineReady;
    let pod = |pod: EnginePod| {
        reason(rung, |seen| {
            seen.cluster.workload.as_mut().unwrap().ready = 0;
            seen.cluster.pods = vec![pod];
        })
    };
    let waits = |word: &str| EnginePod {
        waiting: Some((word.into(), "message".into())),
        ..EnginePod::default()
    };
    assert_eq!(reason(rung, |seen| seen.cluster.workload = None), "RollingOut");
    assert_eq!(pod(waits("ContainerCreating")), "RollingOut");
    assert_eq!(pod(waits("ErrImageNeverPull")), "ImagePullFailed");
    assert_eq!(pod(waits("CrashLoopBackOff")), "CrashLooping");
    let refused = EnginePod { ended: Some((2, "bad".into())), ..waits("CrashLoopBackOff") };
    assert_eq!(pod(refused), "ConfigRejected");
    let nowhere = EnginePod { unschedulable: Some("0/1 nodes".into()), ..EnginePod::default() };
    assert_eq!(pod(nowhere), "Unschedulable");
    let silent = EnginePod {
        ip: Some("10.1.0.1".parse().unwrap()),
        created: Some(now() - SignedDuration::from_mins(5)),
        ..EnginePod::default()
    };
    assert_eq!(pod(silent.clone()), "ProbeFailing");
    // The image was pulled for minutes.
    let started = EnginePod { started: Some(now() - SignedDuration::from_secs(3)), ..silent };
    assert_eq!(pod(started), "RollingOut");
    let failure = |text: &str| {
        reason(rung, |seen| {
            let workload = seen.cluster.workload.as_mut().unwrap();
            workload.ready = 0;
            workload.replica_failure = Some(text.into());
        })
    };
    assert_eq!(failure("pods x is forbidden: exceeded quota: small"), "QuotaExceeded");
    assert_eq!(
        failure("pods x is forbidden: violates PodSecurity \"restricted\""),
        "PodSecurityRejected"
    );
}

#[test]
fn half_of_the_engine_pods_are_enough_and_an_old_configuration_is_not() {
    let rung = ConditionType::EngineReady;
    assert_eq!(
        reason(rung, |seen| seen.cluster.workload.as_mut().unwrap().ready = 1),
        "EngineAvailable"
    );
    assert_eq!(
        reason(rung, |seen| engine(seen, |report| report.problems = vec![LoadError {
            place: "/etc/xmpp-federation/config/engine.yaml:3".into(),
            message: "unknown field".into(),
            unusable: true,
        }])),
        "ConfigRejected"
    );
    let old_after = |seconds: u64| {
        reason(rung, |seen| {
            seen.config.hash = "new".into();
            seen.config.age = std::time::Duration::from_secs(seconds);
            engine(seen, |report| report.config_hash = "old".into());
        })
    };
    let mut paused = with_peer();
    paused["paused"] = json!(true);
    let verdict = of(&paused, rung, |seen| {
        seen.config.hash = "new".into();
        seen.config.age = std::time::Duration::from_mins(5);
        engine(seen, |report| report.config_hash = "old".into());
    });
    assert!(
        verdict.message.ends_with("Set spec.paused to false to apply the current spec."),
        "{verdict:?}"
    );
    let held = of(&paused, rung, |seen| {
        seen.config = WantedConfig { hash: "new".into(), held: true, ..WantedConfig::default() };
        engine(seen, |report| report.config_hash = "old".into());
    });
    assert_eq!(held.reason.to_string(), "ReplicaOutOfSync", "it cannot be on its way");
    assert_eq!(old_after(10), "EngineAvailable");
    assert_eq!(old_after(300), "ReplicaOutOfSync");
}
