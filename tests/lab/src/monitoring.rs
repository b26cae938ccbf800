//! A real Prometheus (Debian's) on the node, which scrapes the operator and the engines and evaluates the chart's alert rules.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::federation::{NAMESPACE, OPERATOR_NAMESPACE};
use crate::host;
use crate::kubernetes;
use crate::network::Host;
use crate::paths::{Paths, make_dir, read, write};
use crate::wait::{Seen, Wait};

/// The name of its record and log.
const PROMETHEUS: &str = "prometheus";
/// Where it listens, on the node.
const LISTEN: &str = "127.0.0.1:19090";
/// The chart's rules.
const RULES: &str = "charts/xmpp-federation-operator/files/alerts.yaml";
/// Maximum time for an alert to change.
const TURN: Duration = Duration::from_mins(3);

/// The pods of one kind.
#[derive(Clone, Copy)]
struct Job {
    name: &'static str,
    namespace: &'static str,
    selector: &'static str,
    port: u16,
}

impl Job {
    /// The file with its targets.
    fn file(self) -> String {
        format!("{}.targets.json", self.name)
    }
}

/// What it scrapes.
const JOBS: [Job; 2] = [
    Job {
        name: "operator",
        namespace: OPERATOR_NAMESPACE,
        selector: "app.kubernetes.io/name=xmpp-federation-operator",
        port: 8080,
    },
    Job {
        name: "engines",
        namespace: NAMESPACE,
        selector: "app.kubernetes.io/component=engine",
        port: 9090,
    },
];

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    paths: Paths,
}

impl Prometheus {
    /// Starts it, with the pods that exist now as targets, and those that [`Self::discover`] finds later. The rules are the chart's with one change: an alert fires at once
    /// and not after minutes.
    pub fn start(paths: &Paths) -> Result<Self> {
        let home = paths.host(Host::Node.name()).join(PROMETHEUS);
        make_dir(&home)?;
        write(&home.join("alerts.yaml"), at_once(&read(&rules(paths)?)?))?;
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": JOBS.map(|job| json!({
                "job_name": job.name,
                "honor_labels": true,
                "file_sd_configs": [{"files": [job.file()]}],
            })),
        });
        let this = Self { paths: paths.clone() };
        this.discover()?;
        write(&home.join("prometheus.yml"), config.to_string())?;
        let run = host::on(paths, Host::Node, "prometheus")?
            .arg(format!("--config.file={}", home.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", home.join("data").display()))
            .arg(format!("--web.listen-address={LISTEN}"));
        host::daemon(paths, PROMETHEUS, run)?;
        let daemons = paths.daemons();
        Wait::new("Prometheus to scrape every target", TURN).log(daemons.log(PROMETHEUS)).until(
            || {
                daemons.must_run(PROMETHEUS)?;
                Ok(match this.query("min(up)") {
                    Ok(found) if found == ["1"] => Seen::Done(()),
                    Ok(found) => Seen::NotYet(format!("{found:?}")),
                    Err(error) => Seen::NotYet(error.to_string()),
                })
            },
        )?;
        Ok(this)
    }

    /// Its base URL on the node.
    pub fn url(&self) -> String {
        format!("http://{LISTEN}")
    }

    /// Makes the pods that run now its targets. Debian's Prometheus is built without the discovery of pods.
    pub fn discover(&self) -> Result<()> {
        let home = self.paths.host(Host::Node.name()).join(PROMETHEUS);
        for job in JOBS {
            let targets = json!(targets(&self.paths, job)?);
            // It reads the file when it changes, so the file must never be incomplete.
            let (file, new) = (home.join(job.file()), home.join(format!("{}.new", job.file())));
            write(&new, targets.to_string())?;
            fs::rename(&new, &file).map_err(Error::io("replacing", &file))?;
        }
        Ok(())
    }

    /// The values that a query gives now.
    pub fn query(&self, expression: &str) -> Result<Vec<String>> {
        let value =
            |one: &Value| one.pointer("/value/1").and_then(Value::as_str).map(str::to_owned);
        Ok(instant(expression)?.iter().filter_map(value).collect())
    }

    /// Waits until an alert fires.
    pub fn until_fires(&self, alert: &str) -> Result<()> {
        self.until(&format!("alert {alert} to fire"), |firing| {
            firing.iter().any(|one| one == alert)
        })
    }

    /// Waits until an alert no longer fires.
    pub fn until_ends(&self, alert: &str) -> Result<()> {
        self.until(&format!("alert {alert} to end"), |firing| firing.iter().all(|one| one != alert))
    }

    /// Waits until no alert fires.
    pub fn until_quiet(&self) -> Result<()> {
        self.until("no alert to fire", <[String]>::is_empty)
    }

    fn until(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Result<()> {
        Wait::new(what, TURN).log(self.paths.daemons().log(PROMETHEUS)).until(|| {
            let series = instant("ALERTS{alertstate=\"firing\"}")?;
            let name = |one: &Value| one.pointer("/metric/alertname")?.as_str().map(str::to_owned);
            let firing: Vec<String> = series.iter().filter_map(name).collect();
            Ok(Seen::done_if(wanted(&firing), format!("firing: {firing:?}")))
        })
    }
}

fn instant(expression: &str) -> Result<Vec<Value>> {
    host::in_network_of(Host::Node, "promtool")
        .args(["query", "instant", "--format=json", &format!("http://{LISTEN}"), expression])
        .json()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // `lab down` ends it in any case.
        let _ = host::stop_daemon(&self.paths, PROMETHEUS);
    }
}

/// The file of the rules.
///
/// # Errors
/// When the tree of the lab cannot be found.
pub fn rules(paths: &Paths) -> Result<PathBuf> {
    let tree = paths.source.parent().and_then(|tests| tests.parent());
    tree.map(|tree| tree.join(RULES)).ok_or_else(|| Error::State("the lab has no tree".into()))
}

/// The rules without their waits.
fn at_once(rules: &str) -> String {
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
    lines.fold(String::new(), |all, line| all + line + "\n")
}

/// One entry for each running pod, with the labels that a `PodMonitor` gives.
fn targets(paths: &Paths, job: Job) -> Result<Vec<Value>> {
    let Job { namespace, selector, port, .. } = job;
    let pods: Value = kubernetes::get(paths, &["pods", "-n", namespace, "-l", selector])?;
    let target = |pod: &Value| {
        let address = pod.pointer("/status/podIP")?.as_str()?;
        let name = pod.pointer("/metadata/name")?;
        Some(json!({
            "targets": [format!("{address}:{port}")],
            "labels": {"namespace": namespace, "pod": name},
        }))
    };
    let found: Vec<Value> = pods
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(target)
        .collect();
    if found.is_empty() {
        return Err(Error::State(format!("no pod in {namespace} has {selector}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_has_no_wait() {
        assert_eq!(
            at_once("a:\n  expr: x\n  for: 5m\n  labels: {}\n"),
            "a:\n  expr: x\n  labels: {}\n"
        );
    }
}
