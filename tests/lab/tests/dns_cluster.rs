//! DNS on the whole cluster: two sites for one domain with a real Prosody as their peer, and a federation whose records
//! an administrator publishes.

use std::time::Duration;

use lab::addons;
use lab::client::{Client, Event};
use lab::conditions::{Snapshot, Watch};
use lab::error::{Error, Result};
use lab::federation::{self, NAME, NAMESPACE};
use lab::kubernetes::{apply, kubectl};
use lab::network::Host;
use lab::paths::Paths;
use lab::person::Person;
use lab::public_dns::{self, LOCAL_ZONE};
use lab::scenario::federated::{Federated, TURN};
use lab::wait::Wait;
use serde_json::json;

/// The namespace of the second site. In the cluster it stands for a second cluster.
const EAST: &str = "im-east";
/// Pings until one is answered: Prosody tries a target that does not answer for 20 s, and retries after a pause.
const PINGS: usize = 12;

/// A site of the domain without a backend: its engine answers pings itself.
fn site(
    namespace: &str,
    (host, priority): (&str, u16),
    (other, other_priority): (&str, u16),
) -> String {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "dialback", "namespace": namespace},
        "stringData": {"secret": "the same 32 octets and more at both sites"}
    });
    let federation = json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "domains": [{"name": LOCAL_ZONE}],
            "host": format!("{host}.{LOCAL_ZONE}"),
            "replicas": 1,
            "dialback": {"secretRef": {"name": "dialback"}},
            "dns": {"ttl": 30, "srv": {"priority": priority, "otherTargets": [{
                "host": format!("{other}.{LOCAL_ZONE}"),
                "directTlsPort": 5270,
                "priority": other_priority
            }]}},
            "egress": {"allowNetworks": ["198.18.0.0/15"]}
        }
    });
    format!("{secret}\n---\n{federation}\n")
}

fn until(watch: &mut Watch, what: &str, kind: &str, status: &str) -> Result<()> {
    watch.until(
        Wait::new(what, TURN),
        TURN,
        |_, _| (),
        |now| now.condition(kind).is_some_and(|found| found.status == status),
    )
}

/// Pings the domain until a site answers.
fn ping(client: &mut Client) -> Result<()> {
    let mut answer = Ok(());
    for _ in 0..PINGS {
        client.ping(LOCAL_ZONE)?;
        let of_domain = |event: &Event| matches!(event, Event::Pong { from } | Event::Error { from, .. } if from == LOCAL_ZONE);
        match client.expect("an answer of the domain", Duration::from_mins(1), of_domain) {
            Ok(Event::Pong { .. }) => return Ok(()),
            other => answer = Err(lab::error::Error::State(format!("no pong: {other:?}"))),
        }
    }
    answer
}

/// Deletes the second site, also what a failed test left.
fn delete_east(paths: &Paths) -> Result<()> {
    kubectl(paths)?.args(["delete", "namespace", EAST, "--ignore-not-found", "--timeout=3m"]).ok()
}

fn the_other_site_takes_over(paths: &Paths) -> Result<()> {
    federation::make_namespace(paths)?;
    kubectl(paths)?.args(["create", "namespace", EAST]).ok()?;
    apply(paths, &site(NAMESPACE, ("west", 0), ("east", 10)))?;
    apply(paths, &site(EAST, ("east", 10), ("west", 0)))?;
    let mut west = Watch::start(paths, NAMESPACE, NAME)?;
    let mut east = Watch::start(paths, EAST, NAME)?;
    until(&mut west, "the first site to be Ready", "Ready", "True")?;
    until(&mut east, "the second site to be Ready", "Ready", "True")?;
    federation::wait_for_public_port(paths, NAME)?;

    let server = federation::partner_server(paths);
    let mut jdoe1 = Client::log_in(paths, Host::Client, &Person::jdoe1(), &server)?;
    ping(&mut jdoe1)?;
    until(&mut west, "the partner at the first site", "InboundReachable", "True")?;
    let unseen = east.last.condition("InboundReachable").map(|found| found.reason.clone());
    assert_eq!(unseen.as_deref(), Some("NoOutsideEvidence"), "priority 10 is a standby");

    // The first site is lost: nobody corrects its Deployment, and its records stay.
    kubectl(paths)?
        .args(["patch", "xfed", NAME, "-n", NAMESPACE, "--type=merge"])
        .args(["-p", r#"{"spec": {"paused": true}}"#])
        .ok()?;
    until(&mut west, "the first site to be paused", "Paused", "True")?;
    kubectl(paths)?.args(["scale", "deployment", NAME, "-n", NAMESPACE, "--replicas=0"]).ok()?;
    until(&mut west, "the first site to lose its engine", "EngineReady", "False")?;
    // An engine that ends is not ready, but serves its streams on for some seconds. It must not answer the next ping.
    kubectl(paths)?
        .args(["wait", "pods", "-n", NAMESPACE, "--for=delete", "--timeout=1m"])
        .args(["-l", &format!("app.kubernetes.io/instance={NAME}")])
        .ok()?;
    ping(&mut jdoe1)?;
    until(&mut east, "the partner at the second site", "InboundReachable", "True")?;
    assert!(east.last.is_true("Ready"), "the records of the lost site are as wanted");
    Ok(())
}

#[test]
fn a_site_that_is_lost_leaves_its_traffic_to_the_other_site_of_the_domain() {
    let paths = Federated::stage().unwrap();
    delete_east(&paths).unwrap();
    let moved = the_other_site_takes_over(&paths);
    if moved.is_err() {
        println!("{}", federation::pod_logs(&paths).unwrap_or_default());
    }
    // Deleted before the assertion, so that a failure here does not fail the tests after it.
    delete_east(&paths).unwrap();
    moved.unwrap();
}

/// A federation without a backend for one domain, which pings the domain of the other one.
fn neighbour(namespace: &str, domain: &str, other: &str) -> String {
    json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "domains": [{"name": domain}],
            "replicas": 1,
            "dns": {"ttl": 30},
            "peers": [{"domain": other, "required": true, "probe": {"to": other}}],
            "egress": {"allowNetworks": ["198.18.0.0/15"]}
        }
    })
    .to_string()
}

fn neighbours_talk(paths: &Paths) -> Result<()> {
    let domains = ["one", "two"].map(|name| format!("{name}.{LOCAL_ZONE}"));
    let [one, two] = &domains;
    federation::make_namespace(paths)?;
    kubectl(paths)?.args(["create", "namespace", EAST]).ok()?;
    apply(paths, &neighbour(NAMESPACE, one, two))?;
    apply(paths, &neighbour(EAST, two, one))?;
    for (namespace, other) in [(NAMESPACE, two), (EAST, one)] {
        let mut watch = Watch::start(paths, namespace, NAME)?;
        let answered = |now: &Snapshot| {
            let peer = |field| now.object.pointer(&format!("/status/peers/0/{field}"));
            peer("domain") == Some(&json!(other))
                && peer("state") == Some(&json!("Connected"))
                && peer("flow/result") == Some(&json!("Answered"))
        };
        let wait = Wait::new(format!("an answer of {other}"), TURN);
        watch.until(wait, TURN, |_, _| (), answered)?;
        // A required peer blocks Ready.
        until(&mut watch, "Ready", "Ready", "True")?;
        // The other one reached the public address, and kube-proxy on the node answered for it.
        let expected = format!(
            "Streams from {other} do not count: another federation of this cluster serves it."
        );
        let inbound = watch.last.condition("InboundReachable").cloned();
        let inbound = inbound.ok_or_else(|| Error::State("InboundReachable is missing".into()))?;
        assert_eq!((&*inbound.status, &*inbound.reason), ("Unknown", "NoOutsideEvidence"));
        assert!(inbound.message.contains(&expected), "{}", inbound.message);
        assert!(watch.last.has("Ready", "True", "FederatedUnverified"));
    }
    Ok(())
}

#[test]
fn two_federations_of_one_cluster_talk_over_the_public_path_which_is_not_the_outside() {
    let paths = Federated::stage().unwrap();
    delete_east(&paths).unwrap();
    let talked = neighbours_talk(&paths);
    if talked.is_err() {
        println!("{}", federation::pod_logs(&paths).unwrap_or_default());
    }
    // Deleted before the assertion, so that a failure here does not fail the tests after it.
    delete_east(&paths).unwrap();
    talked.unwrap();
}

#[test]
fn without_external_dns_a_federation_is_ready_with_the_lines_of_its_status() {
    let paths = Federated::stage().unwrap();
    addons::stop_external_dns(&paths).unwrap();
    let manifest = federation::short_federation(&paths)
        .unwrap()
        .replace("  egress:", "  dns: {mode: Manual, ttl: 30}\n  egress:");
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    let ready = federated
        .until("the lines of the zone", |now| {
            let lines = now.object.pointer("/status/zoneSnippet").and_then(|text| text.as_str());
            lines.is_some_and(|lines| lines.lines().count() == 3)
        })
        .and_then(|()| {
            let snippet = federated.watch.last.object["status"]["zoneSnippet"].clone();
            let lines = snippet.as_str().unwrap_or_default().lines();
            let update: Vec<String> = lines.map(|line| format!("update add {line}")).collect();
            public_dns::update(&federated.paths, &update.join("\n"))
        })
        .and_then(|()| federated.until_true("Ready"));
    addons::start_external_dns(&federated.paths, &addons::RECORD_TYPES).unwrap();
    ready.unwrap();
    let snippet = federated.watch.last.object.pointer("/status/zoneSnippet");
    assert_eq!(snippet, None, "all records are as wanted");
}
