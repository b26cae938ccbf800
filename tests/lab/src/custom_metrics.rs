//! The API custom.metrics.k8s.io, by which autoscalers read the metrics in [`Prometheus`](crate::monitoring::Prometheus). Its server
//! runs on the node; the API server reaches it through a Service, like every aggregated API.

use std::time::Duration;

use serde_json::json;

use crate::addons::kubeconfig;
use crate::error::Result;
use crate::host;
use crate::kubernetes::{apply, kubectl};
use crate::network::Host;
use crate::parts::Part;
use crate::paths::Paths;
use crate::wait::{Seen, Wait};

/// The name of its record and log, of its Service, and of the command.
const NAME: &str = "custom-metrics";
/// The namespace of its Service.
const NAMESPACE: &str = "kube-system";
/// The API, as an object.
const API: &str = "v1beta2.custom.metrics.k8s.io";
/// Where it listens, on the node.
const PORT: u16 = 6444;
/// Maximum time until the API server offers the API.
const START: Duration = Duration::from_mins(3);

/// The running server of the API. Dropping the value removes the API: namespaces cannot be deleted while an API does not answer.
#[derive(Debug)]
pub struct CustomMetrics {
    paths: Paths,
}

impl CustomMetrics {
    /// Starts it, and waits until the API server offers it.
    pub fn start(paths: &Paths, prometheus: &str) -> Result<Self> {
        let config = kubeconfig(paths);
        let home = paths.host(Host::Node.name()).join(NAME);
        let run = host::on(paths, Host::Node, Part::CustomMetrics.file(paths, NAME)?)?
            .arg(format!("--prometheus-url={prometheus}"))
            .arg(format!("--secure-port={PORT}"))
            .arg(format!("--cert-dir={}", home.display()))
            .args(
                ["lister", "authentication", "authorization"]
                    .map(|user| format!("--{user}-kubeconfig={config}")),
            );
        let this = Self { paths: paths.clone() };
        host::daemon(paths, NAME, run)?;
        apply(paths, &objects().to_string())?;
        let daemons = paths.daemons();
        Wait::new("the API of custom metrics", START).log(daemons.log(NAME)).until(|| {
            daemons.must_run(NAME)?;
            let condition = "jsonpath={.status.conditions[?(@.type=='Available')]}";
            let seen =
                kubectl(paths)?.args(["get", "apiservice", API, "-o", condition]).stdout()?;
            Ok(Seen::done_if(seen.contains(r#""status":"True""#), seen))
        })?;
        Ok(this)
    }
}

impl Drop for CustomMetrics {
    fn drop(&mut self) {
        let removed = kubectl(&self.paths)
            .and_then(|run| run.args(["delete", "apiservice", API, "--ignore-not-found"]).ok());
        if let Err(error) = removed {
            eprintln!("cannot remove the API of custom metrics: {error}");
        }
        // `lab down` ends it in any case.
        let _ = host::stop_daemon(&self.paths, NAME);
    }
}

fn objects() -> serde_json::Value {
    let metadata = json!({"name": NAME, "namespace": NAMESPACE});
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]},
    });
    // The Service has no selector, because the server is no pod.
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": NAME},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [Host::Node.address().to_string()]}],
        "ports": [{"name": "https", "port": PORT}],
    });
    let (group, version) = ("custom.metrics.k8s.io", "v1beta2");
    let api = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": API},
        "spec": {
            "group": group,
            "version": version,
            "service": metadata,
            // It makes its certificate itself.
            "insecureSkipTLSVerify": true,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [service, endpoints, api]})
}
