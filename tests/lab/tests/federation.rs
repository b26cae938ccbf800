//! The demo's scenario with assertions: from `kubectl apply` to messages in both directions, and then the loss of each
//! part.

use lab::error::Result;
use lab::federation::{self, NAME, NAMESPACE, OPERATOR_NAMESPACE};
use lab::kubernetes::kubectl;
use lab::network::Host;
use lab::public_dns::{LOCAL_ZONE, dig};
use lab::scenario::conversation;
use lab::scenario::federated::Federated;
use serde_json::Value;

/// The ladder of the design and docs/status.md, in order.
const LADDER: [&str; 14] = [
    "Accepted",
    "ResolvedRefs",
    "CertificateReady",
    "EngineReady",
    "BackendReady",
    "AddressAssigned",
    "HostResolves",
    "SRVResolves",
    "InboundReachable",
    "TLSVerified",
    "StreamVerified",
    "DomainUncontested",
    "PeersReachable",
    "Ready",
];

#[test]
fn two_people_on_two_servers_meet_and_chat_through_the_engine() {
    let mut federated = Federated::ready().unwrap();
    let shown: Vec<&str> = federated
        .watch
        .last
        .conditions
        .iter()
        .map(|condition| condition.kind.as_str())
        .filter(|kind| LADDER.contains(kind))
        .collect();
    assert_eq!(shown, LADDER, "every rung, in this order");
    assert_eq!(
        dig(Host::Other, &format!("_xmpp-server._tcp.{LOCAL_ZONE}"), "SRV").unwrap(),
        [format!("0 5 5269 xmpp.{LOCAL_ZONE}.")]
    );

    let (mut ours, mut theirs) = federated.people().unwrap();
    let mut steps = 0;
    conversation::both_directions(&mut ours, &mut theirs, &mut |line| {
        println!("{line}");
        steps += 1;
    })
    .unwrap();
    assert_eq!(steps, 20, "ten steps in each direction");

    federated.until_true("InboundReachable").unwrap();
    federated.until("Ready as Federated", |now| now.has("Ready", "True", "Federated")).unwrap();
    let source = federated.watch.last.object.pointer("/status/inbound/sourceAddress").cloned();
    let source = source.and_then(|address| address.as_str().map(str::to_owned)).unwrap();
    assert!(
        source.contains(&Host::Partner.address().to_string()),
        "the evidence names the partner's own address, not {source}"
    );
}

#[test]
fn the_chat_goes_on_after_the_engine_the_operator_and_the_backend_were_killed() {
    let mut federated = Federated::ready().unwrap();
    let (mut ours, mut theirs) = federated.people().unwrap();
    let mut quiet = |_: &str| ();
    conversation::meet_and_chat(&mut ours, &mut theirs, &mut quiet).unwrap();

    kill_pods(&federated, NAMESPACE, &format!("app.kubernetes.io/instance={NAME}")).unwrap();
    federated.until("EngineReady to leave True", |now| !now.is_true("EngineReady")).unwrap();
    federated.until_true("Ready").unwrap();
    federation::wait_for_public_port(&federated.paths, NAME).unwrap();
    conversation::say(&mut ours, &mut theirs, "after the engine", &mut quiet).unwrap();
    conversation::say(&mut theirs, &mut ours, "likewise", &mut quiet).unwrap();

    kill_pods(&federated, OPERATOR_NAMESPACE, "app.kubernetes.io/name=xmpp-federation-operator")
        .unwrap();
    conversation::say(&mut ours, &mut theirs, "without an operator", &mut quiet).unwrap();
    // All conditions True proves nothing yet, because they were True before. The next operator must evaluate the
    // current specification.
    federate_again(&mut federated).unwrap();

    // The backend is absent until the status shows it. A pod that is replaced at once may be back between two checks.
    scale_backend(&federated, 0).unwrap();
    kill_pods(&federated, NAMESPACE, "app.kubernetes.io/name=prosody").unwrap();
    federated.until("BackendReady to leave True", |now| !now.is_true("BackendReady")).unwrap();
    scale_backend(&federated, 1).unwrap();
    federated.until_true("Ready").unwrap();
    let mut ours = federated.cupuser1().unwrap();
    conversation::say(&mut ours, &mut theirs, "back again", &mut quiet).unwrap();
    conversation::say(&mut theirs, &mut ours, "welcome back", &mut quiet).unwrap();
}

/// Makes a small change to the specification, and waits until the verdicts are about that change.
fn federate_again(federated: &mut Federated) -> Result<()> {
    kubectl(&federated.paths)?
        .args(["patch", "xfed", NAME, "-n", NAMESPACE, "--type=merge"])
        .args(["-p", r#"{"spec": {"dns": {"ttl": 240}}}"#])
        .ok()?;
    federated.until("Ready=True of the second generation", |now| {
        let conditions = now.object.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().any(|condition| {
            condition["type"] == "Ready"
                && condition["status"] == "True"
                && condition["observedGeneration"] == 2
        })
    })
}

fn scale_backend(federated: &Federated, replicas: u32) -> Result<()> {
    kubectl(&federated.paths)?
        .args(["scale", "deployment", "prosody", "-n", NAMESPACE])
        .arg(format!("--replicas={replicas}"))
        .ok()
}

fn kill_pods(federated: &Federated, namespace: &str, selector: &str) -> Result<()> {
    kubectl(&federated.paths)?
        .args(["delete", "pods", "-n", namespace, "-l", selector, "--grace-period=0", "--force"])
        .ok()
}
