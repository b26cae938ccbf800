//! Faults that `StreamVerified` names: what answers on the engine's port.

use serde_json::json;

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::impostor::{self, Flaw};
use super::simulated;
use super::stage::Stage;
use crate::error::Result;
use crate::network::Host;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "another engine answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| {
            let other = Stage::new(&stage.paths, Fixture::Healthy, 0).pod()?;
            divert(stage, &other.to_string())
        },
        expected: lost(
            "StreamVerified",
            "HostUnknown",
            "Engine pod example-.* does not know <domain>",
            "Check its log",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "another program answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| {
            // The API server: it answers anything but TLS with an alert.
            divert(stage, &format!("{}:6443", Host::Node.address()))
        },
        expected: lost(
            "StreamVerified",
            "NotXMPP",
            "No XMPP stream opens on engine pod example-",
            "that nothing else uses the pod's address",
        ),
        consequences: &["TLSVerified"],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "one of two engine pods does not know the domain",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"replicas": 2}))?;
            stage.wait_for_pods(2)?;
            let other = Stage::new(&stage.paths, Fixture::Healthy, 0).pod()?;
            divert_port(stage, "5269", &other.to_string())
        },
        expected: lost(
            "StreamVerified",
            "HostUnknown",
            "Engine pod example-.* does not know <domain>",
            "Check its log",
        ),
        consequences: &[],
        repair: |stage| {
            stage.no_filter(Host::Node)?;
            stage.restore_spec()
        },
    },
    Fault {
        name: "a server that offers no authentication answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| impostor(stage, Flaw::NoMechanism),
        expected: lost(
            "StreamVerified",
            "NoAuthMechanism",
            "Engine pod example-.* offers neither",
            "",
        ),
        consequences: &[],
        repair: remove_impostor,
    },
    Fault {
        name: "a server that fails inside answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| impostor(stage, Flaw::Broken),
        expected: lost("StreamVerified", "StreamError", "example-.*internal-server-error", "log"),
        consequences: &[],
        repair: remove_impostor,
    },
];

/// A server with this flaw answers STARTTLS streams in place of the pod.
pub(super) fn impostor(stage: &Stage, flaw: Flaw) -> Result<()> {
    let address = impostor::start(stage, flaw)?;
    divert_port(stage, "5269", &address.to_string())
}

pub(super) fn remove_impostor(stage: &Stage) -> Result<()> {
    stage.no_filter(Host::Node)?;
    simulated::stop_all(stage)
}

/// Leads connections to the engine pod elsewhere.
fn divert(stage: &Stage, to: &str) -> Result<()> {
    divert_port(stage, "{ 5269, 5270 }", to)
}

fn divert_port(stage: &Stage, ports: &str, to: &str) -> Result<()> {
    let pod = stage.pod()?;
    let rule = format!("ip daddr {pod} tcp dport {ports} dnat to {to}");
    stage.filter(Host::Node, "", &rule)
}
