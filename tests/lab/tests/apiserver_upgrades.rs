//! Upgrades on a real API server: a definition of another version than the operator, objects of the version before, and the
//! waves in which engines are replaced.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::apiserver::{ApiServer, Program};
use lab::conditions::Snapshot;
use lab::error::Result;
use lab::installed::{self, ACCOUNT, NAMESPACE, Release, install, start_operator};
use lab::parts::Part;
use lab::paths::{Paths, read, write};
use lab::rollout::{self, Pods};
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

/// Maximum time for one change on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);
/// The definition of the resource.
const CRD: &str = "xmppfederations.xmppfederation.dev";
/// The schema of the only version.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";
/// The page on upgrades.
const PAGE: &str = include_str!("../../../docs/upgrading.md");

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The smallest federation of this name.
fn federation(name: &str) -> Value {
    installed::federation("im", name, &format!("{name}.example"))
}

fn snapshot(server: &ApiServer, name: &str) -> Result<Snapshot> {
    installed::snapshot(server, "im", name)
}

/// Waits until the condition of a federation in the namespace `im` is as wanted; returns the federation.
fn until(
    server: &ApiServer,
    operator: &mut Program,
    name: &str,
    what: &str,
    wanted: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    Wait::new(format!("{what} of {name}"), LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let now = snapshot(server, name)?;
            let table = now.table();
            Ok(if wanted(&now) { Seen::Done(now) } else { Seen::NotYet(table) })
        })
        .unwrap()
}

/// The message of `Accepted` once it is True with this reason.
fn accepted(server: &ApiServer, operator: &mut Program, reason: &str) -> (Snapshot, String) {
    let is_so = |now: &Snapshot| now.has("Accepted", "True", reason);
    let now = until(server, operator, "example", &format!("Accepted with reason {reason}"), is_so);
    let message = now.condition("Accepted").unwrap().message.clone();
    (now, message)
}

/// Changes the fields of the definition.
fn change_definition(server: &ApiServer, change: impl FnOnce(&mut Value)) {
    let mut crd: Value = server.kubectl().args(["get", "crd", CRD, "-o", "json"]).json().unwrap();
    change(crd.pointer_mut(SCHEMA).unwrap());
    server.kubectl().args(["replace", "-f", "-"]).input(crd.to_string()).ok().unwrap();
}

fn remove(fields: &mut Value, part: &str, name: &str) {
    let removed = fields[part]["properties"].as_object_mut().unwrap().remove(name);
    assert!(removed.is_some(), "{part}.{name}");
}

/// When each condition last changed its status.
fn transitions(now: &Snapshot) -> BTreeMap<String, String> {
    let conditions = now.object.pointer("/status/conditions").and_then(Value::as_array).unwrap();
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap().to_owned();
    conditions.iter().map(|one| (text(one, "type"), text(one, "lastTransitionTime"))).collect()
}

/// The command that the page prints in a line with these words, as its arguments for kubectl.
fn printed(words: &str) -> Vec<String> {
    let line = PAGE.lines().find(|line| line.starts_with("kubectl ") && line.contains(words));
    // No argument has a space or a quote of its own.
    line.unwrap().split_whitespace().skip(1).map(|argument| argument.replace('\'', "")).collect()
}

#[test]
fn a_definition_of_another_version_is_named_and_its_repair_is_noticed() {
    let server = install(&[]).unwrap();
    change_definition(&server, |fields| {
        remove(fields, "spec", "observability");
        remove(fields, "status", "host");
        remove(fields, "status", "zoneSnippet");
    });
    server.wait_for_resource().unwrap();
    let mut operator = start_operator(&server).unwrap();
    server.apply(&federation("example").to_string()).unwrap();
    let (older, message) = accepted(&server, &mut operator, "DefinitionOutdated");
    assert!(message.contains("spec.observability, status.host, status.zoneSnippet"), "{message}");
    assert!(message.contains("kubectl apply --server-side --force-conflicts"), "{message}");
    assert_eq!(older.object.pointer("/status/host"), None);

    // The action of the message, as the page prints it.
    let apply = printed("--server-side --force-conflicts");
    server.kubectl().dir(tree()).args(&apply).ok().unwrap();
    let (repaired, _) = accepted(&server, &mut operator, "Accepted");
    assert_eq!(repaired.object.pointer("/status/host"), Some(&json!("xmpp.example.example")));
    assert_eq!(transitions(&repaired)["Accepted"], transitions(&older)["Accepted"]);

    change_definition(&server, |fields| {
        fields["spec"]["properties"]["future"] = json!({"type": "string"});
    });
    let (newer, message) = accepted(&server, &mut operator, "OperatorOutdated");
    assert!(message.contains("ignores spec.future."), "{message}");
    let mut with_field = federation("example");
    with_field["spec"]["future"] = json!("yes");
    server.wait_for_resource().unwrap();
    server.apply(&with_field.to_string()).unwrap();
    let generation = |now: &Snapshot| now.object["status"]["observedGeneration"] == 2;
    let set = until(&server, &mut operator, "example", "the second generation", generation);
    assert!(set.has("Accepted", "True", "OperatorOutdated"), "{}", set.table());
    assert_eq!(transitions(&set)["Accepted"], transitions(&newer)["Accepted"]);

    // The command of the page that shows which federations are concerned.
    let listed = server.kubectl().args(printed("get xfed -A")).stdout().unwrap();
    assert!(
        listed.lines().any(|line| line.contains("example") && line.contains("OperatorOutdated")),
        "{listed}"
    );

    // Written while the definition is older than the operator last saw it.
    change_definition(&server, |fields| {
        remove(fields, "spec", "future");
        remove(fields, "status", "stage");
    });
    let (_, message) = accepted(&server, &mut operator, "DefinitionOutdated");
    assert!(message.contains("it lacks status.stage,"), "{message}");
}

/// Installs the definition of the previous chart.
fn install_previous_definition(server: &ApiServer) {
    let helm = Part::Helm.file(&Paths::from_env().unwrap(), "helm").unwrap();
    let manifest = lab::command::Run::new(helm)
        .env("HOME", server.dir().as_os_str())
        .args(["template", ACCOUNT])
        .arg(tree().join(installed::PREVIOUS_CHART))
        .args(["--show-only", "templates/crds.yaml"])
        .stdout()
        .unwrap();
    server.apply(&manifest).unwrap();
    server.wait_for_resource().unwrap();
}

/// The engine's files by federation, with a placeholder for the address of the Service for the backend.
fn engine_files(server: &ApiServer, names: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for name in names {
        let get = |kind: &str, name: &str| -> Option<Value> {
            let run = server.kubectl().args(["get", kind, name, "-n", "im", "-o", "json"]);
            run.json().ok()
        };
        let map = get("configmap", &format!("{name}-engine")).unwrap();
        let data = map["data"].as_object().unwrap();
        let mut text = data.values().next().unwrap().as_str().unwrap().to_owned();
        let service = get("service", &format!("{name}-backend"));
        let address = service.as_ref().and_then(|it| it["spec"]["clusterIP"].as_str());
        if let Some(address) = address {
            text = text.replace(address, "BACKEND");
        }
        files.insert(name.clone(), text);
    }
    files
}

#[test]
fn objects_of_the_version_before_keep_their_meaning() {
    let objects = read(&tree().join("tests/lab/previous/objects.yaml")).unwrap();
    let server = ApiServer::start(&Paths::from_env().unwrap()).unwrap();
    for namespace in [NAMESPACE, "im"] {
        server.kubectl().args(["create", "namespace", namespace]).ok().unwrap();
    }
    install_previous_definition(&server);
    // Stored by the previous schema, with its defaults.
    server.apply(&objects).unwrap();
    let spec = || -> Vec<Value> {
        let list: Value =
            server.kubectl().args(["get", "xfed", "-n", "im", "-o", "json"]).json().unwrap();
        list["items"].as_array().unwrap().clone()
    };
    let before = spec();
    let names: BTreeSet<String> =
        before.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), objects.matches("\nkind: XmppFederation\n").count());

    Release::usual(&[]).install(&server).unwrap();
    let mut operator = start_operator(&server).unwrap();
    for name in &names {
        let is_so = |now: &Snapshot| now.has("Accepted", "True", "Accepted");
        until(&server, &mut operator, name, "Accepted", is_so);
    }
    for (old, new) in before.iter().zip(spec()) {
        assert_eq!(old["metadata"]["uid"], new["metadata"]["uid"], "created anew");
        assert_eq!(old["spec"], new["spec"], "{}", new["metadata"]["name"]);
        // The current schema takes the object as it is.
        let object = json!({
            "apiVersion": new["apiVersion"], "kind": new["kind"], "spec": new["spec"],
            "metadata": {"name": new["metadata"]["name"], "namespace": "im"}
        });
        let again =
            server.kubectl().args(["apply", "--server-side", "--dry-run=server", "-f", "-"]);
        again.input(object.to_string()).ok().unwrap();
    }

    let files = engine_files(&server, &names);
    let golden = tree().join("tests/lab/previous/engine-files.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&files).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write(&golden, &text).unwrap();
    }
    let known: BTreeMap<String, String> = serde_json::from_str(&read(&golden).unwrap()).unwrap();
    for (name, file) in &files {
        assert_eq!(Some(file), known.get(name), "the engine's file of {name}");
    }
    assert_eq!(files.len(), known.len());
}

/// The tag of the engine's image of each Deployment, by federation.
fn images(server: &ApiServer) -> BTreeMap<String, (String, Value)> {
    let all = rollout::deployments(server).unwrap();
    let image = |deployment: &Value| {
        let image = deployment.pointer("/spec/template/spec/containers/0/image").unwrap();
        image.as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    };
    let name = |deployment: &Value| deployment["metadata"]["name"].as_str().unwrap().to_owned();
    all.into_iter()
        .map(|deployment| (name(&deployment), (image(&deployment), deployment)))
        .collect()
}

/// Replaces the operator by one whose engines have this tag.
fn upgrade(server: &ApiServer, tag: &str) -> Program {
    let image = format!("engine.image.tag={tag}");
    let values = [image.as_str()];
    let release = Release::usual(&values);
    release.install(server).unwrap();
    release.start(server).unwrap()
}

/// Federations enough for three waves.
const FEDERATIONS: usize = 13;
/// Federations that may roll out at the same time.
const WAVE: usize = 10;

#[test]
fn new_engines_go_in_waves_and_stop_at_the_first_federation_that_fails() {
    let server = install(&["engine.image.tag=one"]).unwrap();
    let mut operator = start_operator(&server).unwrap();
    let names: Vec<String> = (0..FEDERATIONS).map(|number| format!("fed{number}")).collect();
    let list: Vec<Value> = names.iter().map(|name| federation(name)).collect();
    server.apply(&json!({"apiVersion": "v1", "kind": "List", "items": list}).to_string()).unwrap();
    let with = |server: &ApiServer, operator: &mut Program, tag: &str, wanted: usize| {
        Wait::new(format!("{wanted} Deployments with image {tag}"), LIMIT)
            .log(operator.log())
            .until(|| {
                operator.must_run()?;
                let all = images(server);
                let found = all.values().filter(|(image, _)| image == tag).count();
                assert!(found <= wanted, "{found} Deployments have image {tag}");
                Ok(if found == wanted { Seen::Done(all) } else { Seen::NotYet(found.to_string()) })
            })
            .unwrap()
    };
    for (_, deployment) in with(&server, &mut operator, "one", FEDERATIONS).values() {
        rollout::report_one(&server, deployment, Pods::Current).unwrap();
    }
    drop(operator);
    // An operator before these annotations built the pods.
    let annotations = ["xmppfederation.dev/engine-revision-", "xmppfederation.dev/generation-"];
    let annotate = server.kubectl().args(["annotate", "deployment", "--all", "-n", "im"]);
    annotate.args(annotations).ok().unwrap();

    // The first federation goes alone, and fails.
    let mut operator = upgrade(&server, "bad");
    let all = with(&server, &mut operator, "bad", 1);
    let (first, (_, deployment)) = all.iter().find(|(_, (image, _))| image == "bad").unwrap();
    let waiting: Vec<&String> = names.iter().filter(|name| *name != first).collect();
    let says = |words: String| {
        move |now: &Snapshot| {
            now.condition("Reconciling").is_some_and(|one| one.message.contains(&words))
        }
    };
    for name in &waiting {
        let until_others =
            says("until other federations serve with image federation-engine:bad".into());
        until(&server, &mut operator, name, "what it waits for", until_others);
    }
    rollout::report_one(&server, deployment, Pods::Stuck).unwrap();
    for name in &waiting {
        let stuck = says(format!("is stuck at federation im/{first}"));
        until(&server, &mut operator, name, "what it waits for", stuck);
    }
    let generations = |all: &BTreeMap<String, (String, Value)>| -> Vec<Value> {
        waiting.iter().map(|name| all[*name].1["spec"]["template"].clone()).collect()
    };
    let now = with(&server, &mut operator, "bad", 1);
    assert_eq!(generations(&now), generations(&all), "the pods of the others are as they were");

    // The command of the page that shows how far the waves are.
    let listed = server.kubectl().args(printed("get deployments -A")).stdout().unwrap();
    let with_bad: Vec<&str> = listed.lines().filter(|line| line.contains(":bad")).collect();
    assert!(with_bad.len() == 1 && with_bad[0].contains(first.as_str()), "{listed}");

    // A change of the spec takes effect meanwhile, with the image that the federation has.
    let patch = r#"{"spec": {"pod": {"annotations": {"example.org/own": "yes"}}}}"#;
    let run = server.kubectl().args(["patch", "xfed", waiting[0], "-n", "im", "--type=merge"]);
    run.args(["-p", patch]).ok().unwrap();
    Wait::new("the change of the spec", LIMIT)
        .log(operator.log())
        .until(|| {
            let (image, deployment) = &images(&server)[waiting[0]];
            assert_eq!(image, "one");
            let pointer = "/spec/template/metadata/annotations/example.org~1own";
            Ok(Seen::done_if(deployment.pointer(pointer).is_some(), "not yet"))
        })
        .unwrap();
    let (_, changed) = &images(&server)[waiting[0]];
    rollout::report_one(&server, changed, Pods::Current).unwrap();
    drop(operator);

    // The repaired version reaches all, first one and then ten at a time.
    let mut operator = upgrade(&server, "good");
    let mut done = BTreeSet::new();
    let mut largest = 0;
    while done.len() < FEDERATIONS {
        let running =
            Wait::new(format!("more than {} federations with image good", done.len()), LIMIT)
                .log(operator.log())
                .until(|| {
                    operator.must_run()?;
                    let mut all = images(&server);
                    all.retain(|name, (image, _)| image == "good" && !done.contains(name));
                    Ok(if all.is_empty() { Seen::NotYet("none".into()) } else { Seen::Done(all) })
                })
                .unwrap();
        let limit = if done.is_empty() { 1 } else { WAVE };
        assert!(running.len() <= limit, "{} roll out at once", running.len());
        largest = largest.max(running.len());
        for (name, (_, deployment)) in running {
            rollout::report_one(&server, &deployment, Pods::Current).unwrap();
            done.insert(name);
        }
    }
    assert!(largest > 1, "one after the other");
}
