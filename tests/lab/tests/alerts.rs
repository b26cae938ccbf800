//! The alert rules and the dashboard in a real Prometheus, with a fault injected into a federation on the cluster.

use std::fs;

use lab::error::Result;
use lab::federation::NAMESPACE;
use lab::kubernetes::kubectl;
use lab::monitoring::Prometheus;
use lab::scenario::federated::Federated;
use serde_json::Value;

/// The chart's dashboard.
const DASHBOARD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../charts/xmpp-federation-operator/files/dashboard.json"
);

#[test]
fn a_lost_backend_fires_its_alerts_and_every_panel_shows_what_exists() {
    let mut federated = Federated::ready().unwrap();
    let prometheus = Prometheus::start(&federated.paths).unwrap();
    prometheus.until_quiet().unwrap();

    scale_backend(&federated, 0).unwrap();
    federated.until("BackendReady to leave True", |now| !now.is_true("BackendReady")).unwrap();
    prometheus.until_fires("XmppFederationNotReady").unwrap();
    federated
        .until("BackendReady=False", |now| {
            now.condition("BackendReady").is_some_and(|found| found.status == "False")
        })
        .unwrap();
    prometheus.until_fires("XmppFederationConditionFalse").unwrap();

    scale_backend(&federated, 1).unwrap();
    federated.until_true("Ready").unwrap();
    prometheus.until_ends("XmppFederationNotReady").unwrap();
    prometheus.until_ends("XmppFederationConditionFalse").unwrap();

    let dashboard: Value = serde_json::from_str(&fs::read_to_string(DASHBOARD).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut with_data = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let metric = panel["description"].as_str().unwrap();
        let query = panel["targets"][0]["expr"].as_str().unwrap();
        let shown = prometheus.query(query).unwrap();
        let series = format!("{{__name__=~\"{metric}(_bucket)?\"}}");
        if !prometheus.query(&series).unwrap().is_empty() {
            assert!(!shown.is_empty(), "panel {metric} is empty, but the metric has series");
            with_data += 1;
        }
    }
    // The others have no series until something happens, such as a limit that is reached.
    assert!(with_data > 25, "only {with_data} panels show something");
}

fn scale_backend(federated: &Federated, replicas: u32) -> Result<()> {
    kubectl(&federated.paths)?
        .args(["scale", "deployment", "prosody", "-n", NAMESPACE])
        .arg(format!("--replicas={replicas}"))
        .ok()
}
