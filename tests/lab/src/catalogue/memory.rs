//! Faults that `EngineReady` names: memory limits that are too small, and pods that do not start or stay behind.

use serde_json::json;

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::renewal::{patch, undo};
use super::stage::Stage;
use crate::error::Result;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the memory limit is too small for the engine itself",
        fixture: Fixture::Plain,
        inject: |stage| limit(stage, "12Mi"),
        expected: lost(
            "EngineReady",
            "CrashLooping",
            "Engine pod example-.* does not start: .*memory limit of 12582912 bytes is too small",
            "Raise limits\\.memory in spec\\.pod\\.resources",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the memory limit leaves nothing for connections",
        fixture: Fixture::Plain,
        inject: |stage| limit(stage, "24Mi"),
        expected: lost(
            "EngineReady",
            "MemoryExhausted",
            "Engine pod example-.* closes connections, because its memory limit of 24Mi leaves no memory for them",
            "Raise limits\\.memory in spec\\.pod\\.resources to at least [0-9]+Mi",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "somebody mounted a Secret that does not exist while the operator was paused",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            let volume = json!({"name": "more", "secret": {"secretName": "missing"}});
            let mount = json!({"name": "more", "mountPath": "/more"});
            patch(
                stage,
                &json!({
                    "volumes": [volume],
                    "containers": [{"name": "engine", "volumeMounts": [mount]}],
                }),
            )
        },
        expected: lost(
            "EngineReady",
            "PodStartFailed",
            "The kubelet cannot start engine pod example-.* \\(FailedMount\\): .*secret \"missing\" not found",
            "what others changed in Deployment example",
        ),
        consequences: &[],
        repair: |stage| {
            undo(stage)?;
            stage.restore_spec()
        },
    },
    Fault {
        name: "the readiness probe queries a port on which nothing listens",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            let probe = json!({"httpGet": {"path": "/readyz", "port": 9099}});
            patch(stage, &json!({"containers": [{"name": "engine", "readinessProbe": probe}]}))
        },
        expected: lost(
            "EngineReady",
            "ProbeFailing",
            "Engine pod example-.* is running but does not become ready",
            "kubectl logs",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the spec was changed while the operator was paused",
        fixture: Fixture::Plain,
        inject: |stage| stage.respec(&json!({"paused": true, "timeouts": {"connectSeconds": 7}})),
        expected: lost(
            "EngineReady",
            "ReplicaOutOfSync",
            "Engine pod example-.* still runs the configuration from before spec\\.paused was set",
            "Set spec\\.paused to false",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];

/// Sets the memory limit of the engine.
fn limit(stage: &Stage, memory: &str) -> Result<()> {
    let resources = json!({"requests": {"memory": memory}, "limits": {"memory": memory}});
    stage.respec(&json!({"pod": {"resources": resources}}))
}
