//! Faults that `InboundReachable` names: whether servers outside the cluster reach the engine.

use std::time::Duration;

use serde_json::json;

use super::address;
use super::fault::{Fault, open};
use super::fixture::Fixture;
use super::stage::Stage;
use crate::client::{Client, Event};
use crate::error::{Error, Result};
use crate::federation;
use crate::network::Host;
use crate::person::Person;

/// A ping may be lost once with a stream that ends, or with a `db:verify` to an address that is not forwarded yet.
const PINGS: usize = 3;
/// Time for one answer; the client gives up after 20 s.
const ANSWER: Duration = Duration::from_secs(25);

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the evidence from outside is about an address that the load balancer no longer has",
        fixture: Fixture::Peered,
        inject: |stage| {
            let last = stage.address()?.to_string().rsplit('.').next().map(str::to_owned);
            let other = format!("198.18.200.2{:0>2}", last.unwrap_or_default());
            stage.respec(&json!({"service": {"annotations": {
                "metallb.universe.tf/loadBalancerIPs": other,
            }}}))
        },
        expected: open(
            "InboundReachable",
            "EvidenceStale",
            "from partner\\.example, came before the addresses or ports of the federation changed",
            "Ask someone at a remote domain to send you a message",
        ),
        consequences: &["HostResolves", "PeersReachable"],
        repair: |stage| {
            address::restore(stage)?;
            replace_pods(stage)?;
            be_pinged(stage)
        },
    },
    Fault {
        name: "a firewall resets connections to the engine's control port",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(
                Host::Node,
                &format!("ip daddr {pod} tcp dport 9443 reject with tcp reset"),
                "",
            )
        },
        expected: open(
            "InboundReachable",
            "EvidenceUnavailable",
            "Cannot query engine pod example-",
            "9443",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
];

/// Replaces the engine pod and waits until the one before it is gone: the partner's stream to it ends, and what it sees in its
/// last seconds is not told to anybody.
fn replace_pods(stage: &Stage) -> Result<()> {
    let engine = "app.kubernetes.io/component=engine";
    stage.kubectl(&["delete", "pods", "-l", engine, "--timeout=60s"])?;
    stage.wait_for_pods(1)
}

/// Has somebody at the partner ping the domain, as the message advises.
fn be_pinged(stage: &Stage) -> Result<()> {
    let server = federation::partner_server(&stage.paths);
    let mut person = Client::log_in(&stage.paths, Host::Client, &Person::jdoe1(), &server)?;
    for _ in 0..PINGS {
        person.ping(&stage.domain)?;
        let answer = person.expect("an answer to a ping", ANSWER, |event| match event {
            Event::Pong { from } | Event::Error { from, .. } => *from == stage.domain,
            _ => false,
        })?;
        if matches!(answer, Event::Pong { .. }) {
            return Ok(());
        }
    }
    Err(Error::State(format!("{PINGS} pings from the partner to {} failed", stage.domain)))
}
