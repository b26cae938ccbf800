//! Enforcement of network policies on the node, by kube-router without its router and proxy, and connections from pods.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::host;
use crate::kubernetes::get;
use crate::network::{Host, SERVICE_CIDR};
use crate::node::NODE_NAME;
use crate::parts::Part;
use crate::paths::Paths;

/// Name of kube-router's record and log.
const KUBE_ROUTER: &str = "kube-router";
/// Programs that remove the rules of kube-router. Its rules are in the table `filter`. Besides, only the kubelet has rules there,
/// which it restores; kube-proxy has tables of its own.
const REMOVALS: [(&str, &[&str]); 5] = [
    ("iptables", &["-F"]),
    ("iptables", &["-X"]),
    ("ip6tables", &["-F"]),
    ("ip6tables", &["-X"]),
    ("ipset", &["destroy"]),
];
/// Time after which a connection is taken for filtered. Everything is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Directory of the node in which network plugins keep the networks of pods, one file each.
const POD_NETWORKS: &str = "run/netns";

/// Enforcement of network policies, until the value is dropped.
#[derive(Debug)]
pub struct Enforcement {
    paths: Paths,
}

impl Enforcement {
    /// Starts the controller.
    pub fn start(paths: &Paths) -> Result<Self> {
        stop(paths)?;
        let kubeconfig = paths.pki().join("lab.kubeconfig");
        let run = host::on(paths, Host::Node, Part::KubeRouter.file(paths, "kube-router")?)?
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--run-firewall=true", "--run-router=false", "--run-service-proxy=false"])
            .arg(format!("--hostname-override={NODE_NAME}"))
            .arg(format!("--service-cluster-ip-range={SERVICE_CIDR}"))
            .args(["--iptables-sync-period=5s", "--metrics-port=0", "--health-port=0"]);
        host::daemon(paths, KUBE_ROUTER, run)?;
        Ok(Self { paths: paths.clone() })
    }

    /// The controller's log.
    pub fn log(&self) -> PathBuf {
        self.paths.daemons().log(KUBE_ROUTER)
    }

    /// Fails if the controller has ended.
    pub fn must_run(&self) -> Result<()> {
        self.paths.daemons().must_run(KUBE_ROUTER).map(drop)
    }
}

impl Drop for Enforcement {
    fn drop(&mut self) {
        if let Err(error) = stop(&self.paths) {
            eprintln!("cannot end the enforcement of NetworkPolicies: {error}");
        }
    }
}

fn stop(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, KUBE_ROUTER)?;
    REMOVALS
        .iter()
        .try_for_each(|(program, args)| host::on(paths, Host::Node, program)?.args(*args).ok())
}

/// The address of the first running pod that a selector matches.
pub fn pod_address(paths: &Paths, namespace: &str, selector: &str) -> Result<IpAddr> {
    let pods: Value = get(paths, &["pods", "-n", namespace, "-l", selector])?;
    let items = pods.pointer("/items").and_then(Value::as_array).into_iter().flatten();
    let running = items.filter(|pod| pod.pointer("/status/phase") == Some(&Value::from("Running")));
    running
        .filter_map(|pod| pod.pointer("/status/podIP").and_then(Value::as_str))
        .find_map(|address| address.parse().ok())
        .ok_or_else(|| Error::State(format!("no pod of {selector} runs in namespace {namespace}")))
}

/// True if something accepts a connection from the network of the pod with this address.
pub fn reaches(paths: &Paths, pod: IpAddr, to: SocketAddr) -> Result<bool> {
    let network = network_of(paths, pod)?;
    let file = File::open(&network).map_err(Error::io("opening", &network))?;
    Ok(host::connect_in(file, to, CONNECT_TIMEOUT).is_ok())
}

/// The file of a pod's network.
fn network_of(paths: &Paths, pod: IpAddr) -> Result<PathBuf> {
    let networks = host::root(paths, Host::Node)?.join(POD_NETWORKS);
    let entries = fs::read_dir(&networks).map_err(Error::io("listing", &networks))?;
    for entry in entries.flatten() {
        if has_address(&entry.path(), pod)? {
            return Ok(entry.path());
        }
    }
    Err(Error::State(format!("no pod network of the node has the address {pod}")))
}

fn has_address(network: &Path, address: IpAddr) -> Result<bool> {
    let shown = Run::new("nsenter")
        .arg(format!("--net={}", network.display()))
        .args(["ip", "-brief", "address", "show", "dev", "eth0"])
        .output()?;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    Ok(text.split_whitespace().any(|word| word.split('/').next() == Some(&address.to_string())))
}
