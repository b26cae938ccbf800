//! Faults of the platform: what other programs of the cluster do to the federation.

use std::time::Duration;

use serde_json::{Value, json};

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::{NAME, Stage};
use crate::addons;
use crate::error::{Error, Result};
use crate::kubernetes::kubectl;
use crate::parts::Part;
use crate::wait::{Seen, Wait};

/// The CRD of external-dns.
const ENDPOINTS: &str = "dnsendpoints.externaldns.k8s.io";
/// Changes within a minute after which the operator pauses.
const CHANGES: usize = 5;
/// The label in which two versions of the operator differ.
const VERSION: &str = "app.kubernetes.io/version";

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the CRD of external-dns was removed",
        fixture: Fixture::Published,
        inject: |stage| {
            kubectl(&stage.paths)?.args(["delete", "crd", ENDPOINTS, "--timeout=60s"]).ok()?;
            stage.zone(
                "update delete _xmpp-server._tcp.<domain> SRV\n\
                 update delete _xmpps-server._tcp.<domain> SRV",
            )
        },
        expected: lost(
            "SRVResolves",
            "ExternalDNSCRDMissing",
            "DNSEndpoint",
            "Install external-dns with its CustomResourceDefinition",
        ),
        consequences: &["HostResolves"],
        repair: |stage| {
            let crd = Part::ExternalDns.file(&stage.paths, "dnsendpoints.yaml")?;
            kubectl(&stage.paths)?.args(["apply", "--server-side", "-f"]).arg(crd).ok()?;
            addons::wait_for_crds(&stage.paths, &[ENDPOINTS])?;
            addons::restart_external_dns(&stage.paths, &addons::RECORD_TYPES)
        },
    },
    Fault {
        name: "a second operator changes a child again and again",
        fixture: Fixture::Plain,
        inject: |stage| (0..CHANGES).try_for_each(|_| change_as_operator(stage)),
        expected: lost(
            "Accepted",
            "ObjectContested",
            "ServiceAccount example.*another xmpp-federation-operator",
            "need different classes",
        ),
        consequences: &[],
        // The second one stops.
        repair: |_| Ok(()),
    },
];

/// Applies a child as an operator of another version does, and waits until it is restored.
fn change_as_operator(stage: &Stage) -> Result<()> {
    let mut account = stage.get("serviceaccount", NAME)?;
    let metadata = account.pointer_mut("/metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or_else(|| Error::State("a child without metadata".into()))?;
    for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
        metadata.remove(field);
    }
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.insert(VERSION.to_owned(), json!("0.0.0"));
    }
    kubectl(&stage.paths)?
        .args(["apply", "--server-side", "--force-conflicts"])
        .args(["--field-manager=xmpp-federation-operator", "-f", "-"])
        .input(account.to_string())
        .ok()?;
    restored(stage)
}

/// Waits until the operator has restored the child, or pauses.
fn restored(stage: &Stage) -> Result<()> {
    Wait::new("the restored ServiceAccount", Duration::from_secs(30)).until(|| {
        let object = stage.get("serviceaccount", NAME)?;
        let version = object.pointer("/metadata/labels").and_then(|labels| labels.get(VERSION));
        let restored = version != Some(&json!("0.0.0"));
        let paused = stage.snapshot()?.has("Accepted", "False", "ObjectContested");
        Ok(Seen::done_if(restored || paused, format!("{version:?}")))
    })
}
