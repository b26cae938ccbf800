//! The status is steady while the world is, and names what is stuck: restarts of either program change no condition, a
//! clean create makes few events, and a rollout that cannot go on is named while the old pods serve.

use std::time::{Duration, Instant};

use lab::conditions::Snapshot;
use lab::error::Result;
use lab::federation::{NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE};
use lab::kubernetes::{get, helm, kubectl};
use lab::paths::Paths;
use lab::scenario::conversation;
use lab::scenario::federated::{Federated, TURN};
use lab::wait::{Seen, Wait};
use serde_json::Value;

/// Most events on a clean create.
const MAX_EVENTS: usize = 6;

/// Reason, type and note of each event about the federation.
fn events(paths: &Paths) -> Result<Vec<(String, String, String)>> {
    let list: Value = get(paths, &["events.v1.events.k8s.io", "-n", NAMESPACE])?;
    let word = |event: &Value, pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let about = |event: &&Value| word(event, "/regarding/kind") == "XmppFederation";
    let items = list.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let all = items.iter().filter(about);
    Ok(all.map(|e| (word(e, "/reason"), word(e, "/type"), word(e, "/note"))).collect())
}

fn delete_pods(paths: &Paths, namespace: &str, selector: &str) -> Result<()> {
    kubectl(paths)?.args(["delete", "pods", "-n", namespace, "-l", selector, "--wait=false"]).ok()
}

/// Waits for an update that matches, and fails if one of these conditions is not True on the way.
fn steadily(
    federated: &mut Federated,
    kinds: &[&str],
    what: &str,
    wanted: impl Fn(&Snapshot) -> bool,
) -> Result<()> {
    let mut lost = Vec::new();
    let note = |_: &Snapshot, now: &Snapshot| {
        for kind in kinds.iter().filter(|kind| !now.is_true(kind)) {
            lost.extend(now.condition(kind).map(ToString::to_string));
        }
    };
    federated.watch.until(Wait::new(what, TURN), TURN, note, wanted)?;
    assert_eq!(lost, [] as [String; 0], "on the way to {what}");
    Ok(())
}

#[test]
fn a_clean_create_makes_few_events_and_no_warning_and_restarts_change_no_condition() {
    let mut federated = Federated::ready().unwrap();
    let created = events(&federated.paths).unwrap();
    println!("events of a clean create: {created:#?}");
    assert!(created.len() <= MAX_EVENTS, "{created:#?}");
    let warnings: Vec<_> = created.iter().filter(|(_, kind, _)| kind == "Warning").collect();
    assert!(warnings.is_empty(), "{warnings:#?}");

    let (mut ours, mut theirs) = federated.people().unwrap();
    conversation::meet_and_chat(&mut ours, &mut theirs, &mut |_| ()).unwrap();
    federated.until("Ready as Federated", |now| now.has("Ready", "True", "Federated")).unwrap();
    let before = federated.watch.last.object.clone();
    let reported = events(&federated.paths).unwrap();

    let paths = federated.paths.clone();
    let rolled_out = |namespace: &str, deployment: &str| {
        let status = ["rollout", "status", "deployment", deployment, "-n", namespace];
        kubectl(&paths).unwrap().args(status).ok().unwrap();
    };
    let operator = "app.kubernetes.io/name=xmpp-federation-operator";
    delete_pods(&paths, OPERATOR_NAMESPACE, operator).unwrap();
    rolled_out(OPERATOR_NAMESPACE, OPERATOR);
    // The next operator is at work when it restores what is missing.
    let child = ["networkpolicy", NAME, "-n", NAMESPACE];
    kubectl(&paths).unwrap().arg("delete").args(child).ok().unwrap();
    Wait::new("the restored NetworkPolicy", TURN)
        .until(|| {
            let found = kubectl(&paths)?.arg("get").args(child).output()?.status.success();
            Ok(Seen::done_if(found, "it does not exist"))
        })
        .unwrap();
    let restart = ["rollout", "restart", "deployment", NAME, "-n", NAMESPACE];
    kubectl(&paths).unwrap().args(restart).ok().unwrap();
    rolled_out(NAMESPACE, NAME);
    // The same once more: this operator knows what it applied, so it reports the difference.
    kubectl(&paths).unwrap().arg("delete").args(child).ok().unwrap();
    wait_for_drift(&paths).unwrap();
    // The last update of the watch; a label makes no new generation.
    let label = ["label", "xfed", NAME, "-n", NAMESPACE, "steady=yes"];
    kubectl(&paths).unwrap().args(label).ok().unwrap();
    let lasting = [
        "Accepted",
        "EngineReady",
        "BackendReady",
        "HostResolves",
        "SRVResolves",
        "InboundReachable",
        "Ready",
    ];
    steadily(&mut federated, &lasting, "the label", |now| {
        now.object["metadata"]["labels"]["steady"] == "yes"
    })
    .unwrap();
    let ready = federated.watch.last.condition("Ready").unwrap();
    assert_eq!(ready.reason, "Federated");
    let same = |kind: &str| {
        let time = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array().cloned();
            let found = conditions.unwrap_or_default().into_iter().find(|c| c["type"] == kind);
            found.map(|condition| condition["lastTransitionTime"].clone())
        };
        assert_eq!(time(&before), time(&federated.watch.last.object), "{kind}");
    };
    for kind in lasting {
        same(kind);
    }
    let now = events(&federated.paths).unwrap();
    let new: Vec<_> = now.iter().filter(|e| !reported.contains(e) && e.0 != DRIFT).collect();
    assert!(new.is_empty(), "{new:#?}");
}

/// The reason of the event about a child that another client changed or deleted.
const DRIFT: &str = "DriftCorrected";

/// Waits for the event about the restored `NetworkPolicy`.
fn wait_for_drift(paths: &Paths) -> Result<()> {
    Wait::new("the event about the restored NetworkPolicy", Duration::from_mins(1)).until(|| {
        let reported = events(paths)?;
        let done = reported.iter().any(|(reason, kind, note)| {
            reason == DRIFT && kind == "Normal" && note.contains("deleted NetworkPolicy")
        });
        Ok(Seen::done_if(done, format!("{reported:#?}")))
    })
}

/// Sets the tag of the engine's image in the operator's release.
fn set_engine_tag(paths: &Paths, tag: &str) -> Result<()> {
    let chart = paths.tree().join("charts").join(OPERATOR);
    helm(paths)?
        .args(["upgrade", OPERATOR])
        .arg(chart)
        .args(["--namespace", OPERATOR_NAMESPACE, "--reuse-values", "--wait", "--timeout=3m"])
        .arg(format!("--set=engine.image.tag={tag}"))
        .ok()
}

#[test]
fn an_image_that_does_not_exist_is_named_while_the_old_pods_serve() {
    let mut federated = Federated::ready().unwrap();
    let begun = Instant::now();
    set_engine_tag(&federated.paths, "missing").unwrap();
    println!("the operator is replaced after {:?}", begun.elapsed());
    let named = federated.until_false("EngineReady", "ImagePullFailed");
    println!("ImagePullFailed after {:?}", begun.elapsed());
    let stalled = federated.until("Stalled=True", |now| now.has("Stalled", "True", "RolloutStuck"));
    println!("Stalled after {:?}", begun.elapsed());
    let last = federated.watch.last.clone();
    // Repaired before the assertions, so that a failure here does not fail the tests after it.
    set_engine_tag(&federated.paths, "dev").unwrap();
    let message = named.unwrap();
    println!("{message}");
    stalled.unwrap();
    assert!(message.contains("localhost/federation-engine:missing"), "{message}");
    assert!(message.contains("still serve"), "{message}");
    assert!(last.is_true("BackendReady") && last.is_true("StreamVerified"), "{}", last.table());
    assert!(last.has("Ready", "False", "EngineReady"), "{}", last.table());
    federated.until_true("Ready").unwrap();
    assert!(federated.watch.last.condition("Stalled").is_none());
}
