//! What the documentation prints works as printed, on the real cluster: the example of the README and of the chart's notes, the
//! quick start, and what Argo CD and Flux expect of the chart and of its resource.

use std::collections::BTreeMap;

use lab::backend::{Authentication, Backend, Release};
use lab::client::Client;
use lab::conditions::{Snapshot, Watch};
use lab::error::{Error, Result};
use lab::federation::{self, NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE};
use lab::kubernetes::{apply, get, helm, kubectl};
use lab::network::Host;
use lab::paths::{Paths, read};
use lab::person::Person;
use lab::scenario::conversation;
use lab::scenario::federated::{Federated, TURN};
use lab::wait::Wait;
use serde_json::Value;

/// The text between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Result<&'a str> {
    let missing = || Error::State(format!("no text between {begin:?} and {end:?}"));
    let (_, rest) = text.split_once(begin).ok_or_else(missing)?;
    rest.split_once(end).map(|(found, _)| found).ok_or_else(missing)
}

/// The DNS server that the status names, the address of the LoadBalancer and a working backend: only the name in public DNS is
/// missing, because `example.com` is not ours.
fn works_as_printed(paths: &Paths, manifest: &str) -> Result<()> {
    federation::make_namespace(paths)?;
    apply(paths, manifest)?;
    let mut federated = Federated { paths: paths.clone(), watch: federation::watch(paths)? };
    federated.until("the backend's DNS server in the status", |now| {
        federation::backend_dns(now).is_some()
    })?;
    let server = federation::backend_dns(&federated.watch.last).unwrap_or_default().to_owned();
    let person = Person::new("user", "example.com");
    let backend = Backend { person, ..federation::backend(Release::Prosody0_12) };
    backend.attach(paths, &server)?;
    federated.until("all conditions before DNS", |now| {
        let before = ["Accepted", "ResolvedRefs", "CertificateReady", "EngineReady"];
        let stage = now.object.pointer("/status/stage").and_then(Value::as_str);
        before.iter().all(|kind| now.is_true(kind))
            && now.is_true("BackendReady")
            && now.is_true("AddressAssigned")
            && stage == Some("HostResolves")
    })
}

#[test]
fn the_examples_of_the_readme_and_of_the_notes_work_as_printed() {
    let paths = Federated::stage().unwrap();
    let readme = read(&paths.tree().join("README.md")).unwrap();
    let example = between(&readme, "## The smallest object\n\n```yaml\n", "```").unwrap();
    works_as_printed(&paths, example).unwrap();

    let paths = Federated::stage().unwrap();
    let notes = helm(&paths).unwrap().args(["get", "notes", OPERATOR, "-n", OPERATOR_NAMESPACE]);
    let notes = notes.stdout().unwrap();
    let command = "kubectl -n im apply -f - <<'YAML'\n";
    let example = between(&notes, command, "YAML\n").unwrap();
    // What `kubectl -n im` says to the object.
    let example = example.replace("  name: example\n", "  name: example\n  namespace: im\n");
    works_as_printed(&paths, &example).unwrap();
}

#[test]
fn the_quick_start_federates_two_servers_in_one_cluster() {
    let paths = Federated::stage().unwrap();
    let page = read(&paths.tree().join("docs/quickstart/README.md")).unwrap();
    let folder = paths.tree().join("docs/quickstart");
    let federations = read(&folder.join("federations.yaml")).unwrap();
    let sides = ["north", "south"];
    let outcome = quick_start(&paths, &federations, &read(&folder.join("server.yaml")).unwrap());
    let stages: Result<Vec<Snapshot>> = sides.iter().map(|side| state(&paths, side)).collect();
    let logs: Vec<_> = sides.iter().map(|side| lab::backend::logs(&paths, side).unwrap()).collect();
    for side in sides {
        kubectl(&paths).unwrap().args(["delete", "namespace", side, "--wait=false"]).ok().unwrap();
    }
    outcome.map_err(|error| format!("{error}\n{}", logs.join("\n"))).unwrap();
    for snapshot in stages.unwrap() {
        // The page says where the ladder ends.
        let stage = snapshot.object.pointer("/status/stage").and_then(Value::as_str).unwrap();
        let last = snapshot.condition(stage).unwrap();
        let printed = format!("`{stage}` ({})", last.reason);
        assert!(page.contains(&printed), "the page lacks {printed}\n{}", snapshot.table());
    }
}

fn state(paths: &Paths, side: &str) -> Result<Snapshot> {
    get(paths, &["xmppfederation", side, "-n", side]).map(Snapshot::of)
}

fn quick_start(paths: &Paths, federations: &str, server: &str) -> Result<()> {
    apply(paths, federations)?;
    let mut watches = BTreeMap::new();
    for side in ["north", "south"] {
        let mut watch = Watch::start(paths, side, side)?;
        let wait = Wait::new(format!("the DNS server of {side}"), TURN);
        watch.until(wait, TURN, |_, _| (), |now| federation::backend_dns(now).is_some())?;
        let dns = federation::backend_dns(&watch.last).unwrap_or_default().to_owned();
        // The lab's own image of Prosody, as the page says to use one's own.
        let image =
            format!("image: {}\n          imagePullPolicy: Never", Release::Prosody0_12.image());
        let server = server.replace("SIDE", side).replace("DNS_SERVER", &dns);
        apply(paths, &server.replace("image: prosody\n", &format!("{image}\n")))?;
        watches.insert(side, watch);
    }
    for (side, watch) in &mut watches {
        for kind in ["BackendReady", "PeersReachable"] {
            let wait = Wait::new(format!("{kind} of {side}"), TURN);
            watch.until(wait, TURN, |_, _| (), |now| now.is_true(kind))?;
        }
    }
    let [mut north, mut south] = [log_in(paths, "north")?, log_in(paths, "south")?];
    let mut narrate = |line: &str| println!("{line}");
    conversation::meet_and_chat(&mut north, &mut south, &mut narrate)
}

fn log_in(paths: &Paths, side: &str) -> Result<Client> {
    let domain = format!("{side}.example");
    let person = Person { user: "user".into(), domain, password: "secret".into() };
    let backend = Backend {
        release: Release::Prosody0_12,
        authentication: Authentication::Minted,
        namespace: side.into(),
        name: "prosody".into(),
        federation: side.into(),
        certificate: format!("{side}-backend-tls"),
        person: person.clone(),
    };
    backend.wait(paths)?;
    Client::log_in(paths, Host::Node, &person, &backend.server(paths)?)
}

#[test]
fn helm_test_finds_the_operator_and_the_resource() {
    let paths = Federated::stage().unwrap();
    let tested = helm(&paths)
        .unwrap()
        .args(["test", OPERATOR, "--namespace", OPERATOR_NAMESPACE, "--timeout=3m"])
        .stdout()
        .unwrap();
    assert!(tested.contains("Phase:          Succeeded"), "{tested}");
}

/// The difference between a manifest and the cluster, as Argo CD and Flux compute it.
fn difference(paths: &Paths, manifest: &str) -> Result<String> {
    let run = kubectl(paths)?
        .args(["diff", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"])
        .input(manifest)
        .output()?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    match run.status.code() {
        Some(0) => Ok(String::new()),
        Some(1) => Ok(text),
        _ => Err(Error::State(String::from_utf8_lossy(&run.stderr).into_owned())),
    }
}

#[test]
fn what_is_reconciled_does_not_differ_from_what_was_applied() {
    let federated = Federated::ready().unwrap();
    let paths = federated.paths.clone();
    let chart = helm(&paths).unwrap();
    let chart =
        chart.args(["get", "manifest", OPERATOR, "-n", OPERATOR_NAMESPACE]).stdout().unwrap();
    let federation = federation::short_federation(&paths).unwrap();
    for (what, manifest) in [("the chart", &chart), ("the federation", &federation)] {
        assert_eq!(difference(&paths, manifest).unwrap(), "", "{what}");
    }

    let generation = || {
        let object: Value = get(&paths, &["xmppfederation", NAME, "-n", NAMESPACE]).unwrap();
        object.pointer("/metadata/generation").cloned()
    };
    let before = generation();
    for arguments in [&["apply", "--server-side", "-f", "-"][..], &["apply", "-f", "-"]] {
        kubectl(&paths).unwrap().args(arguments).input(&federation).ok().unwrap();
    }
    assert_eq!(generation(), before);
}
