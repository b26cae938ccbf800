//! Measures the operator on a standalone API server with many federations and many nodes: time until all are judged, memory,
//! processor time, and requests as the API server's audit log has them. No engine runs here, so no federation becomes ready.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::apiserver::{ApiServer, Program, free_ports};
use crate::error::{Error, Result};
use crate::installed::{ACCOUNT, NAMESPACE, Release, install};
use crate::passes::Passes;
use crate::wait::{Seen, Wait};
use crate::{pending, rollout};

/// What to create.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Federations.
    pub federations: usize,
    /// Namespaces that they are spread over.
    pub namespaces: usize,
    /// Nodes, of 14 kB each, as on a usual cluster.
    pub nodes: usize,
    /// Domains of each federation.
    pub domains: usize,
    /// Peers of each federation.
    pub peers: usize,
}

/// Requests by verb and resource.
pub type Requests = BTreeMap<String, usize>;

/// What the operator's process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident memory now, in KiB, without the pages of the program's file: those of an unoptimised program are many, and the
    /// kernel can drop them.
    pub resident: u64,
    /// The most of it so far, in KiB.
    pub peak: u64,
    /// Processor time so far.
    pub processor: Duration,
}

/// The server, the operator, and the load.
#[derive(Debug)]
pub struct Stage {
    // Declared in this order so that the operator stops first.
    operator: Program,
    server: ApiServer,
    /// Where the operator serves its metrics.
    metrics: SocketAddr,
    load: Load,
    begun: Instant,
}

impl Stage {
    /// Starts a server, creates the load, and starts the operator.
    pub fn start(load: Load) -> Result<Self> {
        let server = install(&[])?;
        for chunk in 0..load.nodes.div_ceil(CHUNK) {
            let numbers = chunk * CHUNK..load.nodes.min((chunk + 1) * CHUNK);
            rollout::create(&server, &numbers.map(node).collect::<Vec<_>>())?;
        }
        rollout::create(&server, &(0..load.namespaces).map(namespace).collect::<Vec<_>>())?;
        rollout::create(&server, &federations(load))?;
        let [port] = free_ports()?;
        let operator = Release::usual(&[]).start_at(&server, port)?;
        let metrics = (Ipv4Addr::LOCALHOST, port).into();
        Ok(Self { operator, server, metrics, load, begun: Instant::now() })
    }

    /// The API server.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// Waits until each federation has a verdict about its spec and all its children. Returns the time since the start of the
    /// operator.
    pub fn until_judged(&mut self) -> Result<Duration> {
        self.until_each("Accepted", "status", "True")?;
        Ok(self.begun.elapsed())
    }

    /// Waits until this field of a condition has this value in each federation.
    fn until_each(&mut self, condition: &str, field: &str, value: &str) -> Result<()> {
        let wanted = self.load.federations;
        let column =
            format!("-o=custom-columns=A:.status.conditions[?(@.type==\"{condition}\")].{field}");
        let list = ["get", "xfed", "-A", "--no-headers", &column];
        Wait::new(format!("{wanted} federations with {condition} {value}"), JUDGED)
            .log(self.operator.log())
            .until(|| {
                self.operator.must_run()?;
                thread::sleep(LOOK);
                // A busy server may not answer within its own time limit of a minute.
                let listed = match self.server.kubectl().args(list).stdout() {
                    Ok(listed) => listed,
                    Err(error) => return Ok(Seen::NotYet(error.to_string())),
                };
                let found = listed.lines().filter(|line| line.trim() == value).count();
                Ok(Seen::done_if(found == wanted, format!("{found} have it")))
            })
    }

    /// Waits until the operator has sent nothing but its fixed requests for a while, so that the last transitions of the
    /// start are over.
    pub fn until_idle(&mut self) -> Result<()> {
        let mut known = self.requests()?;
        let mut since = Instant::now();
        Wait::new("the operator to be idle", IDLE).log(self.operator.log()).until(|| {
            thread::sleep(LOOK);
            let now = self.requests()?;
            if per_federation(&now) != per_federation(&known) {
                since = Instant::now();
            }
            known = now;
            let quiet = since.elapsed();
            Ok(Seen::done_if(quiet >= QUIET, format!("quiet for {quiet:?}")))
        })
    }

    /// All requests of the operator so far.
    pub fn requests(&self) -> Result<Requests> {
        let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
        let mut all = Requests::new();
        for request in self.server.requests_of(&user)? {
            *all.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        }
        Ok(all)
    }

    /// Reports a pod of each federation that no node takes.
    pub fn report_unschedulable(&self) -> Result<()> {
        pending::report(&self.server)
    }

    /// Waits until `EngineReady` of each federation has this reason. Returns the time that it took.
    pub fn until_engines(&mut self, reason: &str) -> Result<Duration> {
        let begun = Instant::now();
        self.until_each("EngineReady", "reason", reason)?;
        Ok(begun.elapsed())
    }

    /// Reports that the engines of all federations are of their current template and ready.
    pub fn report_engines(&self) -> Result<()> {
        rollout::report(&self.server, 2)
    }

    /// Replaces the engines of all federations, one after the other in each.
    pub fn replace_engines(&self) -> Result<()> {
        rollout::change(&self.server, &federations(self.load))?;
        rollout::report(&self.server, 1)?;
        rollout::report(&self.server, 2)
    }

    /// The operator's passes so far.
    pub fn passes(&self) -> Result<Passes> {
        Passes::of(self.metrics)
    }

    /// Bytes of the largest status.
    pub fn largest_status(&self) -> Result<usize> {
        let list: Value = self.server.kubectl().args(["get", "xfed", "-A", "-o", "json"]).json()?;
        let items = list.pointer("/items").and_then(Value::as_array);
        let sizes = items.into_iter().flatten().filter_map(|item| item.get("status"));
        Ok(sizes.map(|status| status.to_string().len()).max().unwrap_or_default())
    }

    /// What the operator has used.
    pub fn usage(&self) -> Result<Usage> {
        let process = PathBuf::from(format!("/proc/{}", self.operator.id()));
        let status = read(&process.join("status"))?;
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        let stat = read(&process.join("stat"))?;
        // Fields 14 and 15, counted behind the name, which may have spaces. proc_pid_stat(5).
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Usage {
            resident: kib("RssAnon:"),
            peak: kib("VmHWM:").saturating_sub(kib("RssFile:")),
            processor: Duration::from_millis(ticks * 10),
        })
    }

    /// The operator's log.
    pub fn log(&self) -> &Path {
        self.operator.log()
    }
}

/// The requests that grow with the number of federations: all but the watches, the lease, discovery, and the lists of the
/// cluster's networks.
pub fn per_federation(requests: &Requests) -> Requests {
    let fixed = |request: &str| {
        request.starts_with("watch ")
            || request.ends_with(" leases")
            || matches!(request, "list nodes" | "list servicecidrs")
    };
    requests.iter().filter(|(request, _)| !fixed(request)).map(|(r, n)| (r.clone(), *n)).collect()
}

/// The requests after `before`.
pub fn since(before: &Requests, after: &Requests) -> Requests {
    let new = after.iter().map(|(request, count)| {
        (request.clone(), count - before.get(request).copied().unwrap_or_default())
    });
    new.filter(|(_, count)| *count > 0).collect()
}

/// Maximum time until all federations are judged.
const JUDGED: Duration = Duration::from_mins(40);
/// Maximum time until the operator is idle.
const IDLE: Duration = Duration::from_mins(8);
/// Time without requests after which the operator counts as idle: events about conditions that stay False come after a minute.
const QUIET: Duration = Duration::from_secs(75);
/// Time between two looks at all federations or at the whole audit log. Each takes longer than the pause of [`Wait`], and would
/// take a processor from the operator that is measured.
const LOOK: Duration = Duration::from_secs(2);
/// Objects that one run of kubectl creates.
const CHUNK: usize = 500;

fn namespace(number: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("tenant{number}")}})
}

fn federations(load: Load) -> Vec<Value> {
    (0..load.federations).map(|number| federation(number, load)).collect()
}

/// A federation whose resolvers do not answer: nothing leaves the machine.
fn federation(number: usize, load: Load) -> Value {
    let domain = |domain: usize| match domain {
        0 => json!({"name": format!("d{number}.example.com")}),
        _ => json!({"name": format!("s{domain}.d{number}.example.com")}),
    };
    let domains: Vec<Value> = (0..load.domains).map(domain).collect();
    let peers: Vec<Value> =
        (0..load.peers).map(|peer| json!({"domain": format!("p{peer}.example.org")})).collect();
    json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {
            "name": format!("fed{number}"),
            "namespace": format!("tenant{}", number % load.namespaces.max(1))
        },
        "spec": {
            "domains": domains,
            "peers": peers,
            "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}],
            "dns": {"resolvers": ["127.0.0.1:1"]}
        }
    })
}

/// A Node with the names of 50 images, which are most of its size.
fn node(number: usize) -> Value {
    let (high, low) = (number / 250, number % 250);
    let images: Vec<Value> = (0..50)
        .map(|image| {
            let digest = format!("{image:064x}");
            let name = format!("registry.example/team/some-application-{image}");
            let names = [format!("{name}@sha256:{digest}"), format!("{name}:v1.2.3-build.{image}")];
            json!({"names": names, "sizeBytes": 100_000_000 + image})
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": format!("node{number}"), "labels": {"kubernetes.io/os": "linux"}},
        "spec": {"podCIDRs": [format!("10.{high}.{low}.0/24")]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": format!("198.18.{}.{}", 128 + high, low + 1)}],
            "images": images
        }
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("reading", path))
}
