//! Faults that `TLSVerified` names: pods that cannot load the certificate of their Secret, because somebody changed how they
//! mount it while the operator was paused.

use serde_json::{Value, json};

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::{NAME, Stage};
use crate::error::{Error, Result};

/// The volume of the engine's container with the certificate, and the directory that it is mounted to.
const VOLUME: &str = "tls";
const DIRECTORY: &str = "/etc/xmpp-federation/tls";
/// The files in it.
const FILES: [&str; 2] = ["tls.crt", "tls.key"];
/// Read permission for the owner only, who is root.
const OWNER_ONLY: u32 = 0o400;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "a renewed certificate does not reach the pod, because somebody mounted it with subPath",
        fixture: Fixture::Certified,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            mount_files(stage)?;
            stage.wait_for_rollout()?;
            stage.put_certificate(&stage.good_certificate()?)
        },
        expected: lost(
            "TLSVerified",
            "OldCertificateServed",
            "Engine pod example-.* still serves the previous certificate for <domain>.*Secret example-tls-serving: .*subPath",
            "Remove that mount from Deployment example, and set spec\\.paused to false",
        ),
        consequences: &[],
        repair: |stage| {
            undo(stage)?;
            stage.restore_spec()
        },
    },
    Fault {
        name: "the engine is not permitted to read its certificate",
        fixture: Fixture::Certified,
        inject: |stage| {
            stage.respec(&json!({"paused": true}))?;
            let volume = json!({"name": VOLUME, "secret": {"defaultMode": OWNER_ONLY}});
            patch(stage, &json!({"volumes": [volume]}))?;
            stage.wait_for_rollout()
        },
        expected: lost(
            "TLSVerified",
            "STARTTLSNotOffered",
            "Engine pod example-.* does not offer STARTTLS for <domain>.*/tls\\.crt.*ermission denied",
            "Set spec\\.paused to false, so that the operator restores Deployment example",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];

/// Mounts each file of the certificate by itself, as some do to have other files beside it.
fn mount_files(stage: &Stage) -> Result<()> {
    let mut mounts: Vec<Value> = FILES
        .iter()
        .map(|file| {
            json!({
                "name": VOLUME,
                "mountPath": format!("{DIRECTORY}/{file}"),
                "subPath": file,
                "readOnly": true,
            })
        })
        .collect();
    mounts.push(json!({"$patch": "delete", "mountPath": DIRECTORY}));
    patch(stage, &json!({"containers": [{"name": "engine", "volumeMounts": mounts}]}))?;
    let deployment = stage.get("deployment", NAME)?;
    let volumes = deployment.pointer("/spec/template/spec/containers/0/volumeMounts");
    let is_left = volumes
        .and_then(Value::as_array)
        .is_none_or(|all| all.iter().any(|mount| mount["mountPath"] == DIRECTORY));
    if is_left {
        return Err(Error::State(format!("{DIRECTORY} is still mounted")));
    }
    Ok(())
}

/// Gives the pods of the Deployment their earlier template, without what others added to it.
pub(super) fn undo(stage: &Stage) -> Result<()> {
    stage.kubectl(&["rollout", "undo", &format!("deployment/{NAME}")])
}

/// Changes the pods of the Deployment.
pub(super) fn patch(stage: &Stage, pod: &Value) -> Result<()> {
    let patch = json!({"spec": {"template": {"spec": pod}}}).to_string();
    stage.kubectl(&["patch", "deployment", NAME, "-p", &patch])
}
