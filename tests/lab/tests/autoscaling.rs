//! The HPA of docs/autoscaling.md on the real cluster: the controller of kube-controller-manager reads the engines' metric from a
//! real Prometheus, and sets the replicas by the scale subresource. The operator follows, and restores nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use lab::custom_metrics::CustomMetrics;
use lab::error::{Error, Result};
use lab::federation::{self, NAME, NAMESPACE};
use lab::host;
use lab::kubernetes::{apply, get, kubectl};
use lab::monitoring::Prometheus;
use lab::network::Host;
use lab::paths::{Paths, read};
use lab::scenario::federated::{Federated, TURN};
use lab::wait::{Seen, Wait};
use serde_json::Value;

/// The metric of the page.
const METRIC: &str = "xmpp_federation_connections";
/// Connections of the load: more than twice what the HPA of this test wants for each of two engines, whatever else is connected.
const LOAD: usize = 60;

/// Connections from the internet to the federation. None authenticates.
struct Load {
    to: SocketAddr,
    open: Vec<TcpStream>,
}

impl Load {
    fn start(paths: &Paths) -> Result<Self> {
        let service: Value = get(paths, &["service", NAME, "-n", NAMESPACE])?;
        let address = service.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str);
        let address: Option<IpAddr> = address.and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| Error::State("the Service has no address".into()))?;
        let mut load = Self { to: (address, 5269).into(), open: Vec::new() };
        load.keep()?;
        Ok(load)
    }

    /// Replaces the connections that the engines have closed.
    fn keep(&mut self) -> Result<()> {
        self.open.retain_mut(|stream| match stream.read(&mut [0; 1024]) {
            Ok(bytes) => bytes > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        while self.open.len() < LOAD {
            let opened = host::connect(Host::Other, self.to, Duration::from_secs(10))
                .and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
            let failed = |source| Error::Io { doing: format!("connecting to {}", self.to), source };
            self.open.push(opened.map_err(failed)?);
        }
        Ok(())
    }
}

/// The HPA of the page with values that this test can reach.
fn autoscaler(page: &str) -> String {
    let mut manifests = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let found = manifests.find(|yaml| yaml.contains("kind: HorizontalPodAutoscaler")).unwrap();
    let changes = [
        ("averageValue: \"2000\"", "averageValue: \"10\""),
        ("maxReplicas: 8", "maxReplicas: 3"),
        ("stabilizationWindowSeconds: 600", "stabilizationWindowSeconds: 15"),
        ("periodSeconds: 120", "periodSeconds: 15"),
    ];
    changes.iter().fold(found.to_owned(), |yaml, (from, to)| {
        assert!(yaml.contains(from), "{from} is not in {yaml}");
        yaml.replace(from, to)
    })
}

/// Generation of an object.
fn generation(paths: &Paths, kind: &str) -> Result<u64> {
    let object: Value = get(paths, &[kind, NAME, "-n", NAMESPACE])?;
    Ok(object["metadata"]["generation"].as_u64().unwrap_or_default())
}

/// Reason and note of each event about the federation.
fn events(paths: &Paths) -> Result<Vec<String>> {
    let list: Value = get(paths, &["events.v1.events.k8s.io", "-n", NAMESPACE])?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let about = items.iter().filter(|event| event["regarding"]["kind"] == "XmppFederation");
    Ok(about.map(|event| format!("{} {}", event["reason"], event["note"])).collect())
}

/// Waits until the HPA wants that many replicas, that many pods are ready, and no other pod of the engine is left.
fn until_replicas(
    paths: &Paths,
    prometheus: &Prometheus,
    load: &mut Option<Load>,
    wanted: u64,
) -> Result<()> {
    Wait::new(format!("{wanted} replicas by the HPA"), TURN)
        .log(paths.daemons().log("custom-metrics"))
        .log(paths.daemons().log("kube-controller-manager"))
        .until(|| {
            prometheus.discover()?;
            if let Some(load) = load {
                load.keep()?;
            }
            let hpa: Value = get(paths, &["hpa", NAME, "-n", NAMESPACE])?;
            let engines: Value = get(paths, &["deployment", NAME, "-n", NAMESPACE])?;
            let pods: Value =
                get(paths, &["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=engine"])?;
            let scaled = hpa["status"]["desiredReplicas"] == wanted
                && hpa["status"]["currentReplicas"] == wanted
                && engines["status"]["readyReplicas"] == wanted
                && pods["items"].as_array().map(Vec::len) == usize::try_from(wanted).ok();
            Ok(Seen::done_if(scaled, format!("{}, {}", hpa["status"], engines["status"])))
        })
}

#[test]
fn the_autoscaler_of_the_page_follows_the_load_and_the_operator_does_not_fight_it() {
    let paths = Federated::stage().unwrap();
    let page = read(&paths.tree().join("docs/autoscaling.md")).unwrap();
    // Connections of the load stay for as long as an engine may let them.
    let manifest = federation::short_federation(&paths).unwrap();
    let manifest = format!("{}\n  timeouts: {{negotiationSeconds: 300}}\n", manifest.trim_end());
    let mut federated = Federated::apply(paths.clone(), &manifest).unwrap();
    federated.until_true("Ready").unwrap();
    federation::wait_for_public_port(&paths, NAME).unwrap();
    let prometheus = Prometheus::start(&paths).unwrap();
    let _api = CustomMetrics::start(&paths, &prometheus.url()).unwrap();
    let all_true: Vec<String> = federated
        .watch
        .last
        .conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .map(|condition| condition.kind.clone())
        .collect();
    assert!(all_true.len() > 8, "{}", federated.watch.last.table());

    // The page's command.
    let command = page.lines().find_map(|line| line.strip_prefix("kubectl get --raw ")).unwrap();
    assert!(command.contains(METRIC), "{command}");
    Wait::new("the metric of both engines", TURN)
        .log(paths.daemons().log("custom-metrics"))
        .until(|| {
            prometheus.discover()?;
            let path = command.trim_matches('"');
            let values: Value = match kubectl(&paths)?.args(["get", "--raw", path]).json() {
                Ok(values) => values,
                Err(error) => return Ok(Seen::NotYet(error.to_string())),
            };
            let engines = values["items"].as_array().map(Vec::len);
            Ok(Seen::done_if(engines == Some(2), values.to_string()))
        })
        .unwrap();

    let before = (generation(&paths, "xfed").unwrap(), generation(&paths, "deployment").unwrap());
    apply(&paths, &autoscaler(&page)).unwrap();
    let mut load = Some(Load::start(&paths).unwrap());
    until_replicas(&paths, &prometheus, &mut load, 3).unwrap();
    let during = (generation(&paths, "xfed").unwrap(), generation(&paths, "deployment").unwrap());
    assert_eq!(during, (before.0 + 1, before.1 + 1), "each is written once");

    drop(load.take());
    until_replicas(&paths, &prometheus, &mut load, 2).unwrap();
    let after = (generation(&paths, "xfed").unwrap(), generation(&paths, "deployment").unwrap());
    assert_eq!(after, (before.0 + 2, before.1 + 2), "each is written once");
    let hpa: Value = get(&paths, &["hpa", NAME, "-n", NAMESPACE]).unwrap();
    println!("{}", hpa["status"]);
    kubectl(&paths).unwrap().args(["delete", "hpa", NAME, "-n", NAMESPACE]).ok().unwrap();

    let reported = events(&paths).unwrap();
    assert!(reported.iter().all(|event| !event.contains("DriftCorrected")), "{reported:#?}");
    // The last update of the watch; a label makes no new generation.
    let label = ["label", "xfed", NAME, "-n", NAMESPACE, "scaled=yes"];
    kubectl(&paths).unwrap().args(label).ok().unwrap();
    let mut lost = Vec::new();
    let note = |_: &_, now: &lab::conditions::Snapshot| {
        for kind in all_true.iter().filter(|kind| !now.is_true(kind)) {
            lost.extend(now.condition(kind).map(ToString::to_string));
        }
    };
    let done =
        |now: &lab::conditions::Snapshot| now.object["metadata"]["labels"]["scaled"] == "yes";
    federated.watch.until(Wait::new("the label", TURN), TURN, note, done).unwrap();
    assert_eq!(lost, [] as [String; 0]);
}
