//! Faults that `TLSVerified` names: what the engine's port serves.

use std::time::Duration;

use super::fault::{Fault, lost, open};
use super::fixture::Fixture;
use super::impostor::Flaw;
use super::stream;
use crate::network::Host;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "a network policy drops the operator's connections to the engine",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(Host::Node, &format!("ip daddr {pod} tcp dport {{ 5269, 5270 }} drop"), "")
        },
        expected: open(
            "TLSVerified",
            "ConnectFailed",
            "cannot connect to engine pod example-.*timed out",
            "Check that NetworkPolicies allow it",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "a network policy permits the operator STARTTLS but not Direct TLS",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(Host::Node, &format!("ip daddr {pod} tcp dport 5270 drop"), "")
        },
        expected: open(
            "TLSVerified",
            "ConnectFailed",
            "cannot connect to engine pod example-.* over Direct TLS on port 5270",
            "Check that NetworkPolicies allow it",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "another program answers at the pod's port for Direct TLS",
        fixture: Fixture::Plain,
        inject: |stage| {
            let (pod, other) = (stage.pod()?, Host::Node.address());
            let rule = format!("ip daddr {pod} tcp dport 5270 dnat to {other}:6443");
            stage.filter(Host::Node, "", &rule)
        },
        expected: lost(
            "TLSVerified",
            "HandshakeFailed",
            "Direct TLS on port 5270\\) with engine pod example-.* for <domain> failed",
            "Check the pod's log",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "a server without TLS answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| stream::impostor(stage, Flaw::NoTls),
        expected: lost(
            "TLSVerified",
            "STARTTLSNotOffered",
            "Engine pod example-.* does not offer STARTTLS for <domain>",
            "Check CertificateReady and the pod's log",
        ),
        consequences: &[],
        repair: stream::remove_impostor,
    },
    Fault {
        name: "the pod serves another certificate than that of its Secret",
        fixture: Fixture::Plain,
        inject: |stage| {
            // A change is given time to reach the pods.
            stage.wait_for_age(Duration::from_secs(125))?;
            stream::impostor(stage, Flaw::OtherCertificate)
        },
        expected: lost(
            "TLSVerified",
            "OldCertificateServed",
            "Engine pod example-.* serves a certificate for <domain> other than the one in Secret example-tls-serving",
            "check the pod's log, or delete the pod",
        ),
        consequences: &[],
        repair: stream::remove_impostor,
    },
    Fault {
        name: "a firewall resets the operator's connections to the engine",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(
                Host::Node,
                &format!("ip daddr {pod} tcp dport {{ 5269, 5270 }} reject with tcp reset"),
                "",
            )
        },
        expected: open(
            "TLSVerified",
            "ConnectFailed",
            "cannot connect to engine pod example-.*refused",
            "Check that NetworkPolicies allow it",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
];
