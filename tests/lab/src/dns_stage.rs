//! The operator before a real API server and a real BIND, both on loopback: everything that decides about DNS, without a
//! node. The status of the Service is written as a load balancer's controller would write it. Needs root, for port 53.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use harness::claim::Network;
use harness::program;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::apiserver::{ApiServer, Program, free_ports};
use crate::command::Run;
use crate::conditions::Snapshot;
use crate::error::{Error, Result};
use crate::external_dns::{ExternalDns, RECORD_TYPES, Version};
use crate::packages;
use crate::parts::{self, Part};
use crate::paths::{Paths, write};
use crate::wait::{Seen, Wait};

/// The zone of the local domain.
pub const ZONE: &str = "edge.example";
/// The address that the load balancer's controller assigns.
pub const ADDRESS: &str = "198.18.80.1";
/// The name of the key that is authorized to change [`ZONE`].
const UPDATE_KEY: &str = "external-dns";
/// Maximum time for a condition to change.
const TURN: Duration = Duration::from_mins(3);

/// All servers. They stop when the value is dropped.
#[derive(Debug)]
pub struct DnsStage {
    external_dns: Option<Program>,
    operator: Program,
    named: Vec<Program>,
    bind: TempDir,
    port: u16,
    network: Network,
    /// The API server.
    pub server: ApiServer,
    paths: Paths,
}

impl DnsStage {
    /// Starts the API server with both CRDs, BIND and the operator.
    pub fn start() -> Result<Self> {
        let paths = Paths::from_env()?;
        let network = Network::claim()
            .map_err(|source| Error::Io { doing: "claiming a loopback network".into(), source })?;
        let bind = tempfile::Builder::new()
            .prefix("xfed-dns-stage-")
            .tempdir()
            .map_err(Error::io("making a directory in", std::env::temp_dir()))?;
        let [port] = free_ports()?;
        let named = start_bind(bind.path(), address_of(network), port)?;
        relay(address_of(network), port)?;
        let server = ApiServer::start(&paths)?;
        server.install_crd()?;
        let endpoints = Part::ExternalDns.file(&paths, "dnsendpoints.yaml")?;
        server.kubectl().args(["apply", "-f"]).arg(endpoints).ok()?;
        let wait = ["wait", "--for=condition=Established", "crd/dnsendpoints.externaldns.k8s.io"];
        server.kubectl().args(wait).arg("--timeout=60s").ok()?;
        server.kubectl().args(["create", "namespace", "im"]).ok()?;
        let operator = start_operator(&server)?;
        let named = vec![named];
        Ok(Self { external_dns: None, operator, named, bind, port, network, server, paths })
    }

    /// The address of BIND, which is authoritative for [`ZONE`] and the resolver of everything else.
    pub fn dns(&self) -> Ipv4Addr {
        address_of(self.network)
    }

    /// A federation of [`ZONE`] whose records are published at once, with more of a spec laid over it.
    pub fn federate(&self, name: &str, spec: &Value) -> Result<()> {
        let mut object = json!({
            "apiVersion": "xmppfederation.dev/v1alpha1",
            "kind": "XmppFederation",
            "metadata": {"name": name, "namespace": "im"},
            "spec": {
                "domains": [{"name": ZONE}],
                "dns": {"publish": "Always", "ttl": 30, "resolvers": [self.dns().to_string()]}
            }
        });
        merge(&mut object, &json!({"spec": spec}));
        self.server.apply(&object.to_string())
    }

    /// Changes a federation.
    pub fn patch(&self, name: &str, spec: &Value) -> Result<()> {
        let patch = json!({"spec": spec}).to_string();
        let run = self.server.kubectl().args(["patch", "xfed", name, "-n", "im", "--type=merge"]);
        run.args(["-p", &patch]).ok()
    }

    /// Writes the status of a federation's Service as a load balancer's controller does: `{"ip": ...}`, or
    /// `{"hostname": ...}` as on AWS.
    pub fn assign(&mut self, name: &str, ingress: &Value) -> Result<()> {
        let patch = json!({"status": {"loadBalancer": {"ingress": [ingress]}}}).to_string();
        self.wait(&format!("Service {name}"), |stage| {
            let get = ["get", "service", name, "-n", "im", "-o", "name"];
            let found = stage.server.kubectl().args(get).output()?;
            Ok(Seen::done_if(found.status.success(), "it does not exist"))
        })?;
        let run = self.server.kubectl().args(["patch", "service", name, "-n", "im"]);
        run.args(["--subresource=status", "--type=merge", "-p", &patch]).ok()
    }

    /// Runs a version of external-dns in place of the one before.
    pub fn run_external_dns(&mut self, version: Version) -> Result<()> {
        self.external_dns = None;
        parts::build_only(&self.paths, &[version.part()])?;
        let program = version.part().file(&self.paths, "external-dns")?;
        let secret = self.update_secret()?;
        let run = ExternalDns {
            version,
            kubeconfig: &self.server.kubeconfig("admin"),
            record_types: &RECORD_TYPES,
            owner: "stage",
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            zone: ZONE,
            key: (UPDATE_KEY, &secret),
        };
        let mut arguments = run.arguments();
        let [port] = free_ports()?;
        arguments.push(format!("--metrics-address=127.0.0.1:{port}"));
        self.external_dns = Some(Program::start(self.server.dir(), &program, &arguments, &[])?);
        Ok(())
    }

    /// Changes [`ZONE`] as its administrator would, with lines for nsupdate(1).
    pub fn update(&self, lines: &str) -> Result<()> {
        let script = format!("server 127.0.0.1 {}\nzone {ZONE}\n{lines}\nsend\n", self.port);
        let key = self.bind.path().join("update.key");
        Run::new("nsupdate").arg("-k").arg(key).input(script).ok()
    }

    /// The data of a record, sorted.
    pub fn dig(&self, name: &str, kind: &str) -> Result<Vec<String>> {
        let port = self.port.to_string();
        let run = Run::new("dig").args(["@127.0.0.1", "-p", &port, "+short", "+time=2"]);
        let text = run.args([name, kind]).stdout()?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    }

    /// The current state of a federation.
    pub fn snapshot(&self, name: &str) -> Result<Snapshot> {
        let get = ["get", "xfed", name, "-n", "im", "-o", "json"];
        Ok(Snapshot::of(self.server.kubectl().args(get).json()?))
    }

    /// Waits until a condition has this status and reason, and returns its message.
    pub fn until(&mut self, name: &str, kind: &str, status: &str, reason: &str) -> Result<String> {
        self.wait(&format!("{name}: {kind}={status} for {reason}"), |stage| {
            let now = stage.snapshot(name)?;
            if !now.has(kind, status, reason) {
                return Ok(Seen::NotYet(format!("\n{}", now.table())));
            }
            let message = now.condition(kind).map(|found| found.message.clone());
            Ok(Seen::Done(message.unwrap_or_default()))
        })
    }

    /// Waits for an event. The error contains the logs.
    pub fn wait<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Self) -> Result<Seen<T>>,
    ) -> Result<T> {
        let mut wait = Wait::new(what, TURN).log(self.operator.log());
        for program in self.named.iter().chain(&self.external_dns) {
            wait = wait.log(program.log());
        }
        wait.until(|| {
            let programs = self.named.iter_mut().chain(&mut self.external_dns);
            programs.chain(std::iter::once(&mut self.operator)).try_for_each(Program::must_run)?;
            look(self)
        })
    }

    /// Signs [`ZONE`] with keys that its parent does not know, and starts a resolver that validates: for it, the zone is
    /// bogus. Returns the resolver's address.
    pub fn break_signatures(&mut self) -> Result<SocketAddr> {
        let directory = self.bind.path().join("validating");
        fs::create_dir(&directory).map_err(Error::io("making", &directory))?;
        let key = Run::new("dnssec-keygen")
            .dir(&directory)
            .args(["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", ZONE])
            .stdout()?;
        // A trust anchor for the zone that is unsigned: every answer of it lacks its signature.
        let file = directory.join(format!("{}.key", key.trim()));
        let record = fs::read_to_string(&file).map_err(Error::io("reading", &file))?;
        let data = record.lines().find_map(|line| line.split_once("DNSKEY ")).map(|(_, data)| data);
        let mut words = data.unwrap_or_default().split_whitespace();
        let numbers: Vec<&str> = words.by_ref().take(3).collect();
        let anchor =
            format!("{ZONE}. static-key {} \"{}\";", numbers.join(" "), words.collect::<String>());
        let [port] = free_ports()?;
        let config = format!(
            "options {{ directory \"{}\"; pid-file none; session-keyfile none; recursion yes; dnssec-validation yes;\n\
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; empty-zones-enable no; }};\n\
             controls {{ }};\ntrust-anchors {{ {anchor} }};\n\
             zone \".\" {{ type hint; file \"root.hints\"; }};\n",
            directory.display()
        );
        write(&directory.join("named.conf"), config)?;
        let hints =
            format!(". 60 IN NS ns.root.example.\nns.root.example. 60 IN A {}\n", self.dns());
        write(&directory.join("root.hints"), hints)?;
        self.named.push(run_named(&directory)?);
        self.wait("the validating resolver to reject the zone", |_| {
            let port = port.to_string();
            let run = Run::new("dig").args(["@127.0.0.1", "-p", &port, "+time=2", ZONE, "NS"]);
            let output = run.output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(Seen::done_if(text.contains("SERVFAIL"), text))
        })?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn update_secret(&self) -> Result<String> {
        let file = self.bind.path().join("update.key");
        let text = fs::read_to_string(&file).map_err(Error::io("reading", &file))?;
        let secret = text.split_once("secret \"").and_then(|(_, rest)| rest.split_once('"'));
        let (secret, _) = secret.ok_or_else(|| Error::State("a key without secret".into()))?;
        Ok(secret.to_owned())
    }
}

/// The last byte is that of the port of DNS.
fn address_of(network: Network) -> Ipv4Addr {
    network.host(53)
}

/// Lays one JSON object over another, key by key.
fn merge(base: &mut Value, over: &Value) {
    match (base.as_object_mut(), over.as_object()) {
        (Some(fields), Some(over)) => {
            for (key, value) in over {
                merge(fields.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        _ => base.clone_from(over),
    }
}

fn start_operator(server: &ApiServer) -> Result<Program> {
    let program = program::build("operator", "xmpp-federation-operator")
        .map_err(|error| Error::State(error.to_string()))?;
    let [port] = free_ports()?;
    let arguments = [
        "--engine-image=localhost/federation-engine:dev".to_owned(),
        format!("--listen=127.0.0.1:{port}"),
        format!("--kubeconfig={}", server.kubeconfig("admin").display()),
    ];
    Program::start(server.dir(), &program, &arguments, &[])
}

/// Relays UDP from port 53 of an address to BIND. BIND listens only on addresses that an interface has, and resolvers
/// query only port 53 of authoritative servers.
fn relay(address: Ipv4Addr, port: u16) -> Result<()> {
    let failed = |source| Error::Io { doing: format!("relaying {address}:53 to BIND"), source };
    let outside = UdpSocket::bind((address, 53)).map_err(failed)?;
    thread::spawn(move || {
        let mut query = vec![0; 65_535];
        while let Ok((length, client)) = outside.recv_from(&mut query) {
            let (query, Ok(outside)) =
                (query.get(..length).unwrap_or_default().to_vec(), outside.try_clone())
            else {
                return;
            };
            // A query that fails has no answer, and the client repeats it.
            thread::spawn(move || -> std::io::Result<usize> {
                let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                inside.set_read_timeout(Some(Duration::from_secs(5)))?;
                inside.send_to(&query, (Ipv4Addr::LOCALHOST, port))?;
                let mut answer = vec![0; 65_535];
                let length = inside.recv(&mut answer)?;
                outside.send_to(answer.get(..length).unwrap_or_default(), client)
            });
        }
    });
    Ok(())
}

fn start_bind(home: &Path, address: Ipv4Addr, port: u16) -> Result<Program> {
    let secret = Run::new("tsig-keygen").args(["-a", "hmac-sha256", UPDATE_KEY]).stdout()?;
    write(&home.join("update.key"), format!("{secret}\n"))?;
    let directory = home.display();
    let config = format!(
        "include \"{directory}/update.key\";\n\
         options {{ directory \"{directory}\"; pid-file none; session-keyfile none; recursion yes;\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no; empty-zones-enable no; notify no; }};\n\
         controls {{ }};\n\
         zone \".\" {{ type primary; file \"root.zone\"; }};\n\
         zone \"{ZONE}\" {{ type primary; file \"{ZONE}.zone\"; allow-update {{ key \"{UPDATE_KEY}\"; }}; allow-transfer {{ key \"{UPDATE_KEY}\"; }}; }};\n"
    );
    write(&home.join("named.conf"), config)?;
    write(
        &home.join("root.zone"),
        format!(
            "$TTL 60\n@ IN SOA ns.root.example. admin.root.example. 1 60 60 600 1\n@ IN NS ns.root.example.\n\
             ns.root.example. IN A {address}\n{ZONE}. IN NS ns1.{ZONE}.\nns1.{ZONE}. IN A {address}\n"
        ),
    )?;
    let zone = format!(
        "$TTL 60\n$ORIGIN {ZONE}.\n@ IN SOA ns1 admin 1 60 60 600 1\n@ IN NS ns1\nns1 IN A {address}\n"
    );
    write(&home.join(format!("{ZONE}.zone")), zone)?;
    run_named(home)
}

/// Starts BIND with the files of a directory.
fn run_named(home: &Path) -> Result<Program> {
    let named: PathBuf = packages::unconfined("named", home)?;
    let arguments =
        ["-g".to_owned(), "-4".into(), "-c".into(), home.join("named.conf").display().to_string()];
    let mut program = Program::start(home, &named, &arguments, &[])?;
    let log = program.log().to_owned();
    Wait::new("named to run", Duration::from_mins(1)).log(&log).until(|| {
        program.must_run()?;
        let text = fs::read_to_string(&log).map_err(Error::io("reading", &log))?;
        let runs = text.lines().any(|line| line.ends_with(" running"));
        Ok(Seen::done_if(runs, "it has not logged that it is running"))
    })?;
    Ok(program)
}
