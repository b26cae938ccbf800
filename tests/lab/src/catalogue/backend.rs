//! Faults that `BackendReady` names: the XMPP server in the cluster.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::Stage;
use crate::backend::{Authentication, Backend, Release};
use crate::command::Run;
use crate::error::{Error, Result};
use crate::federation;
use crate::kubernetes::{apply, get};
use crate::network::{CLUSTER_DNS, Host};
use crate::person::Person;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the backend is down",
        fixture: Fixture::Backed,
        inject: |stage| stage.kubectl(&["scale", "deployment", "prosody", "--replicas=0"]),
        expected: lost(
            "BackendReady",
            "ConnectRefused",
            "Backend im for <domain>",
            "Start the server",
        ),
        consequences: &[],
        repair: |stage| stage.kubectl(&["scale", "deployment", "prosody", "--replicas=1"]),
    },
    Fault {
        name: "the backend's host name does not exist",
        fixture: Fixture::Backed,
        inject: |stage| at(stage, &format!("ejabberd.{}.svc", stage.namespace)),
        expected: lost(
            "BackendReady",
            "HostNotFound",
            "Backend im for <domain>.*ejabberd\\.<namespace>\\.svc",
            "Correct spec\\.backends\\[im\\]\\.server\\.host, or create the Service",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a firewall drops connections to the backend",
        fixture: Fixture::Backed,
        inject: |stage| {
            stage.filter(Host::Other, "tcp dport 5269 drop", "")?;
            at(stage, &Host::Other.address().to_string())
        },
        expected: lost(
            "BackendReady",
            "ConnectTimedOut",
            "Backend im for <domain>.*timed out",
            "NetworkPolicy",
        ),
        consequences: &[],
        repair: |stage| {
            stage.no_filter(Host::Other)?;
            stage.restore_spec()
        },
    },
    Fault {
        name: "the backend does not host the domain",
        fixture: Fixture::Backed,
        inject: |stage| {
            configure(stage, |text| {
                let host = format!("VirtualHost \"{}\"", stage.domain);
                let person = format!("register, 'cupuser1', '{}'", stage.domain);
                text.replace(&host, "VirtualHost \"other.example\"")
                    .replace(&person, "register, 'cupuser1', 'other.example'")
            })
        },
        expected: lost(
            "BackendReady",
            "DomainNotHosted",
            "Backend im for <domain>",
            "Add <domain> to the backend as a virtual host",
        ),
        consequences: &[],
        repair: |stage| configure(stage, |text| text),
    },
    Fault {
        name: "the backend does not trust the engine's authority",
        fixture: Fixture::Backed,
        inject: |stage| {
            let other = stage.good_certificate()?.issuer;
            configure(stage, |text| {
                let indented = format!("    {}\n", other.trim_end().replace('\n', "\n    "));
                text.replace(
                    "  prosody.cfg.lua: |\n",
                    &format!("  other.crt: |\n{indented}  prosody.cfg.lua: |\n"),
                )
                .replace(
                    "cafile = \"/etc/federation/ca/ca.crt\"",
                    "cafile = \"/etc/prosody/other.crt\"",
                )
            })
        },
        expected: lost(
            "BackendReady",
            "BackendRejectsMintedCertificate",
            "Backend im for <domain>",
            "key ca\\.crt of ConfigMap example-backend-ca",
        ),
        consequences: &[],
        repair: |stage| configure(stage, |text| text),
    },
    Fault {
        name: "the engine does not trust the backend's certificate",
        fixture: Fixture::Backed,
        inject: |stage| {
            let other = stage.good_certificate()?.issuer;
            stage.apply(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other-ca"},
                "data": {"ca.crt": other},
            }))?;
            server(
                stage,
                &json!({
                    "host": format!("prosody.{}.svc", stage.namespace),
                    "trust": {"configMapRef": {"name": "other-ca"}},
                }),
            )
        },
        expected: lost(
            "BackendReady",
            "BackendCertificateUntrusted",
            "Backend im for <domain>",
            "spec\\.backends\\[im\\]\\.server\\.trust",
        ),
        consequences: &[],
        repair: |stage| {
            stage.restore_spec()?;
            stage.delete("configmap", "other-ca")
        },
    },
    Fault {
        name: "another program listens at the backend's port",
        fixture: Fixture::Backed,
        inject: |stage| server(stage, &json!({"host": "kubernetes.default.svc", "port": 443})),
        expected: lost(
            "BackendReady",
            "StreamFailed",
            "Backend im for <domain>: the connection broke while waiting for the peer's stream header",
            "spec\\.backends\\[im\\]\\.server\\.port accepts server-to-server streams without TLS",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the port of the backend is the one for clients",
        fixture: Fixture::Backed,
        inject: |stage| {
            let host = format!("prosody.{}.svc", stage.namespace);
            server(stage, &json!({"host": host, "port": 5222}))
        },
        expected: lost(
            "BackendReady",
            "NotXMPP",
            "Backend im for <domain>: the peer does not speak XMPP: the content namespace of the stream is jabber:client, as on a port for clients",
            "Set spec\\.backends\\[im\\]\\.server\\.host and port to those for server-to-server streams",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the backend does not use the engine's DNS server",
        fixture: Fixture::Backed,
        inject: |stage| stage.attach_backend(&CLUSTER_DNS.to_string()),
        expected: lost(
            "BackendReady",
            "BackendDoesNotReachEngine",
            "Backend im for <domain>: the backend accepted the ping for <domain>, but no answer came back.*received no query",
            "must use DNS server",
        ),
        consequences: &[],
        repair: |stage| stage.attach_backend(&stage.backend_dns()?),
    },
    Fault {
        name: "the backend hangs while its streams are open",
        fixture: Fixture::Backed,
        inject: |stage| signal(stage, "STOP"),
        expected: lost(
            "BackendReady",
            "BackendDoesNotAnswer",
            "Backend im for <domain>: the backend answered earlier pings for <domain>",
            "restart the server if it hangs",
        ),
        consequences: &[],
        repair: |stage| signal(stage, "CONT"),
    },
    Fault {
        name: "the backend verifies dialback keys elsewhere than with the engine",
        fixture: Fixture::Backed,
        inject: |stage| {
            apply(&stage.paths, &by_dialback(stage, &CLUSTER_DNS.to_string())?)?;
            let host = format!("prosody.{}.svc", stage.namespace);
            server(stage, &json!({"host": host, "authentication": "Dialback"}))
        },
        expected: lost(
            "BackendReady",
            "BackendDialbackFailed",
            "Backend im for <domain>: ",
            "Configure the backend to use DNS server",
        ),
        consequences: &[],
        repair: |stage| {
            stage.attach_backend(&stage.backend_dns()?)?;
            stage.restore_spec()
        },
    },
];

/// The backend with other settings: it authenticates by dialback.
fn by_dialback(stage: &Stage, dns_server: &str) -> Result<String> {
    let backend = Backend {
        authentication: Authentication::Dialback,
        namespace: stage.namespace.clone(),
        person: Person::new("cupuser1", &stage.domain),
        ..federation::backend(Release::Prosody0_12)
    };
    backend.manifest(&stage.paths, dns_server)
}

fn at(stage: &Stage, host: &str) -> Result<()> {
    server(stage, &json!({"host": host}))
}

fn server(stage: &Stage, server: &serde_json::Value) -> Result<()> {
    stage.respec(&json!({"backends": [{"name": "im", "server": server}]}))
}

/// Sends a signal to the processes of the backend's container. The first of them takes none from inside.
fn signal(stage: &Stage, name: &str) -> Result<()> {
    let of_backend = ["-l", "app.kubernetes.io/name=prosody"];
    let in_namespace = ["pods", "-n", stage.namespace.as_str()];
    let pods: Value = get(&stage.paths, &[&in_namespace[..], &of_backend[..]].concat())?;
    let id = pods.pointer("/items/0/status/containerStatuses/0/containerID");
    let id = id.and_then(Value::as_str).and_then(|id| id.rsplit('/').next());
    let id = id.ok_or_else(|| Error::State("the backend has no container".into()))?;
    let entries = fs::read_dir("/proc").map_err(Error::io("listing", Path::new("/proc")))?;
    let processes = entries.flatten().filter(|entry| {
        // A process may have ended.
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        groups.contains(id)
    });
    let numbers: Vec<OsString> = processes.map(|entry| entry.file_name()).collect();
    Run::new("kill").arg(format!("-{name}")).args(numbers).ok()
}

/// Restarts the backend with another configuration.
fn configure(stage: &Stage, change: impl FnOnce(String) -> String) -> Result<()> {
    let manifest = stage.backend(&stage.backend_dns()?)?;
    apply(&stage.paths, &change(manifest))?;
    stage.kubectl(&["rollout", "restart", "deployment", "prosody"])
}
