//! Faults that `EngineReady` names: the pods of the engine.

use serde_json::json;

use super::accepted::{allow, deny, quota};
use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::{NAME, Stage};
use crate::error::Result;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "no node has the labels that the pods require",
        fixture: Fixture::Plain,
        inject: |stage| stage.respec(&json!({"pod": {"nodeSelector": {"disk": "ssd"}}})),
        expected: lost(
            "EngineReady",
            "Unschedulable",
            "Engine pod example-.* cannot be scheduled: .*didn't match Pod's node affinity/selector",
            "Check spec\\.pod .*nodeSelector",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "no node has the memory that the pods request",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"pod": {"resources": {
                "requests": {"memory": "4Ti"}, "limits": {"memory": "4Ti"},
            }}}))
        },
        expected: lost(
            "EngineReady",
            "Unschedulable",
            "cannot be scheduled: .*Insufficient memory",
            "Check spec\\.pod \\(resources",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a resource quota does not permit the pods",
        fixture: Fixture::Plain,
        inject: |stage| {
            quota(stage, "pods")?;
            delete_pods(stage)
        },
        expected: lost(
            "EngineReady",
            "QuotaExceeded",
            "exceeded quota: catalogue",
            "Raise the quota",
        ),
        consequences: &[],
        repair: |stage| stage.delete("resourcequota", "catalogue"),
    },
    Fault {
        name: "pod security admission rejects the pods",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"pod": {"annotations": {
                "container.apparmor.security.beta.kubernetes.io/engine": "unconfined",
            }}}))
        },
        expected: lost(
            "EngineReady",
            "PodSecurityRejected",
            "violates PodSecurity",
            "check the settings that spec\\.pod adds",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "an admission policy denies the pods",
        fixture: Fixture::Plain,
        inject: |stage| {
            deny(stage, "pods", "", "pods need a cost centre")?;
            delete_pods(stage)
        },
        expected: lost(
            "EngineReady",
            "PodsRejected",
            "pods need a cost centre",
            "exempt namespace <namespace> from it",
        ),
        consequences: &[],
        repair: allow,
    },
    Fault {
        name: "the priority class of the pods does not exist",
        fixture: Fixture::Plain,
        inject: |stage| stage.respec(&json!({"pod": {"priorityClassName": "urgent"}})),
        expected: lost(
            "EngineReady",
            "PodsRejected",
            "no PriorityClass with name urgent was found",
            "spec\\.pod",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "somebody set an image that does not exist while the operator was paused",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            let image = "engine=localhost/federation-engine:missing";
            stage.kubectl(&["set", "image", &format!("deployment/{NAME}"), image])
        },
        expected: lost(
            "EngineReady",
            "ImagePullFailed",
            "localhost/federation-engine:missing",
            "Check the operator's engine image",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "somebody changed the arguments of the engine while the operator was paused",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            let patch = json!({"spec": {"template": {"spec": {"containers": [
                {"name": "engine", "args": ["--log", "everything"]},
            ]}}}});
            let patch = patch.to_string();
            stage.kubectl(&["patch", "deployment", NAME, "-p", &patch])
        },
        expected: lost(
            "EngineReady",
            "CrashLooping",
            "Engine pod example-.*its command line is not valid: error: unexpected argument '--log' found",
            "Undo what others changed in Deployment example",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "somebody gave the engine arguments with which it ends at once",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            let args = ["--version"];
            let patch = json!({"spec": {"template": {"spec": {"containers": [
                {"name": "engine", "args": args},
            ]}}}});
            stage.kubectl(&["patch", "deployment", NAME, "-p", &patch.to_string()])
        },
        expected: lost(
            "EngineReady",
            "CrashLooping",
            "Engine pod example-.* is crash-looping with exit code 0",
            "kubectl logs --previous",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "somebody scaled the engine to 0 while the operator was paused",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            stage.kubectl(&["scale", "deployment", NAME, "--replicas=0"])
        },
        expected: lost(
            "EngineReady",
            "ScaledDown",
            "Deployment example has 0 replicas; spec\\.replicas is 1",
            "Set spec\\.paused to false",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "somebody wrote an invalid engine file while the operator was paused",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            let file = json!({"data": {"engine.yaml": "domains: {}\n"}}).to_string();
            stage.kubectl(&[
                "patch",
                "configmap",
                "example-engine",
                "--type=merge",
                "-p",
                &file,
            ])?;
            // The kubelet updates volumes of a pod at once when the pod changes, and once a minute otherwise.
            let engine = "app.kubernetes.io/component=engine";
            stage.kubectl(&["annotate", "pods", "-l", engine, "catalogue=changed", "--overwrite"])
        },
        expected: lost(
            "EngineReady",
            "ConfigRejected",
            "Engine pod example-.* rejected its configuration",
            "engine\\.yaml",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];

/// Deletes the pods of the engine; the Deployment creates new ones.
pub(super) fn delete_pods(stage: &Stage) -> Result<()> {
    stage.kubectl(&["delete", "pods", "-l", "app.kubernetes.io/component=engine", "--wait=false"])
}
