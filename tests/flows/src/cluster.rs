//! The flows on the lab's cluster: the server is in a pod behind the engine that the operator runs, and the partner's
//! server of the lab is outside. People of ours log in from the node, where a component runs as well, and people of theirs
//! from a host of the internet.

use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use interop::release::Release;
use interop::site::CLIENTS;
use lab::backend::{self, Authentication, Backend};
use lab::client::Server;
use lab::conditions::{Snapshot, Watch};
use lab::federation::{self, NAME};
use lab::host;
use lab::kubernetes::{apply, get, kubectl};
use lab::network::Host;
use lab::partner;
use lab::paths::{Paths, read, write};
use lab::person::Person;
use lab::pki::{Authority, Subject, Usage};
use lab::public_dns::{self, LOCAL_ZONE, PARTNER_SERVER};
use lab::scenario::federated::TURN;
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

use crate::accounts::{PASSWORD, registration};
use crate::client::DEADLINE;
use crate::domain::{self, Domain};
use crate::driver::Driver;
use crate::error::{FlowError, Result};
use crate::features::Features;
use crate::server::{self, HTTP};
use crate::side::{Connect, Side, Software};
use crate::stage::PYTHON;

/// The name of the backend in the federation, and of its pod.
const BACKEND: &str = "im";
/// The Service of links to files.
const FILES: &str = "files";
/// The Secret that authenticates a component.
const COMPONENT: &str = "component";
/// The port for components.
const COMPONENTS: u16 = 5347;
/// The name of the key pair of the server outside.
const KEY_PAIR: &str = "flows";
/// The settings of the server outside.
const SETTINGS: &str = "flows.cfg.lua";

/// A server or component behind an engine of the cluster, in a namespace of its own, and the domain of the other side.
#[derive(Debug)]
pub struct Site {
    paths: Paths,
    software: Software,
    namespace: String,
    ours: Domain,
    theirs: Domain,
}

impl Site {
    /// A site with that software. Its domains and those of the other side are its own, so that several sites can run at the
    /// same time.
    pub fn new(paths: &Paths, software: Software) -> Self {
        let label = match software {
            Software::Server(release) => packaged(release).label(),
            Software::Component => "component",
        };
        let parent = format!("flows-{label}.{LOCAL_ZONE}");
        Self {
            paths: paths.clone(),
            software,
            namespace: format!("flows-{label}"),
            ours: Domain::below(&parent, domain::OURS),
            theirs: Domain::below(&parent, domain::THEIRS),
        }
    }

    /// The server or component behind the engine.
    pub const fn software(&self) -> Software {
        self.software
    }

    /// Imports the server's image into the node. A component runs on the node itself.
    pub fn import(&self) -> Result<()> {
        match self.software {
            Software::Server(release) => Ok(packaged(release).import(&self.paths)?),
            Software::Component => Ok(()),
        }
    }

    /// From nothing to Ready. Returns our side and theirs.
    pub fn start(&self) -> Result<(Side, Side)> {
        let Self { paths, namespace, theirs, .. } = self;
        apply(paths, &self.objects().to_string())?;
        let mut watch = Watch::start(paths, namespace, NAME)?;
        let mut until = |what: &str, wanted: &dyn Fn(&Snapshot) -> bool| {
            watch.until(Wait::new(what, TURN), TURN, |_, _| (), wanted)?;
            Ok::<_, FlowError>(watch.last.clone())
        };
        let ready = |now: &Snapshot| now.is_true("Ready");
        let mut ours = match self.software {
            Software::Server(release) => {
                let backend = self.backend(release);
                let now = until("the status names the DNS server", &|now| {
                    federation::backend_dns(now).is_some()
                })?;
                let dns = federation::backend_dns(&now).unwrap_or_default();
                let manifest = backend.manifest(paths, dns)?;
                let upload = self.files()?;
                let manifest = server::in_pod(release, &manifest, &self.ours.address, upload);
                apply(paths, &manifest)?;
                until("Ready", &ready)?;
                backend.wait(paths)?;
                let own = backend.server(paths)?;
                self.side(self.software, &self.ours.address, Host::Node, &own)?
            }
            Software::Component => {
                let side = self.component()?;
                until("Ready", &ready)?;
                side
            }
        };
        federation::wait_for_public_port_in(paths, namespace, NAME)?;
        let outside = Server {
            address: Host::Partner.address().into(),
            authority: paths.pki().join(format!("{KEY_PAIR}-ca.crt")),
        };
        let other = Software::Server(Release::Prosody0_12);
        let mut theirs = self.side(other, &theirs.address, Host::Client, &outside)?;
        ours.discover()?;
        theirs.discover()?;
        Ok((ours, theirs))
    }

    fn backend(&self, release: Release) -> Backend {
        Backend {
            release: packaged(release),
            authentication: authentication(release),
            namespace: self.namespace.clone(),
            name: BACKEND.into(),
            federation: NAME.into(),
            certificate: format!("{NAME}-backend-tls"),
            person: Person::new("someone", &self.ours.address),
        }
    }

    /// The logs of the pods, of the server outside and of the clients.
    pub fn log(&self) -> String {
        let daemons = self.paths.daemons();
        let pods = backend::logs(&self.paths, &self.namespace).unwrap_or_default();
        let logs = [partner::NAME.to_owned(), self.clients(Host::Node), self.clients(Host::Client)];
        let logs = logs.map(|name| {
            let text = read(&daemons.log(&name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.len().saturating_sub(400);
            format!("--- {name}\n{}", lines.get(last..).unwrap_or_default().join("\n"))
        });
        iter::once(pods).chain(logs).collect::<Vec<_>>().join("\n")
    }

    fn objects(&self) -> Value {
        let Self { namespace, .. } = self;
        let addresses = self.ours.addresses();
        let domains: Vec<Value> = addresses
            .iter()
            .take(self.software.served(addresses.len()))
            .map(|name| json!({"name": name, "backend": BACKEND}))
            .collect();
        let (attachment, needed) = match self.software {
            Software::Server(release) => {
                let server = json!({
                    "host": format!("{BACKEND}.{namespace}.svc"),
                    "authentication": authentication(release).word(),
                });
                let files = json!({
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": FILES, "namespace": namespace},
                    "spec": {
                        "type": "LoadBalancer",
                        "selector": {"backend": BACKEND},
                        "ports": [{"name": "http", "port": HTTP}],
                    },
                });
                (json!({"name": BACKEND, "server": server}), files)
            }
            Software::Component => {
                let secret = json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": COMPONENT, "namespace": namespace},
                    "stringData": {"secret": PASSWORD},
                });
                let component = json!({"secretRef": {"name": COMPONENT}});
                (json!({"name": BACKEND, "component": component}), secret)
            }
        };
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": namespace,
                    "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                },
            },
            needed,
            {
                "apiVersion": "xmppfederation.dev/v1alpha1",
                "kind": "XmppFederation",
                "metadata": {"name": NAME, "namespace": namespace},
                "spec": {
                    "domains": domains,
                    "backends": [attachment],
                    "replicas": 1,
                    "egress": {"allowNetworks": ["198.18.0.0/15"]},
                },
            },
        ]})
    }

    /// The public address of links to files.
    fn files(&self) -> Result<IpAddr> {
        self.address_of(FILES, "/status/loadBalancer/ingress/0/ip")
    }

    /// The address at that place of a Service, once it is there.
    fn address_of(&self, service: &str, pointer: &str) -> Result<IpAddr> {
        let wait =
            Wait::new(format!("Service {service} to have an address"), Duration::from_mins(1));
        Ok(wait.until(|| {
            let list = ["services", "-n", &self.namespace];
            let services: Value = get(&self.paths, &list)?;
            let items = services.pointer("/items").and_then(Value::as_array);
            let named = |one: &&Value| {
                one.pointer("/metadata/name").and_then(Value::as_str) == Some(service)
            };
            let address =
                items.into_iter().flatten().find(named).and_then(|one| one.pointer(pointer));
            let address = address.and_then(Value::as_str).and_then(|one| one.parse().ok());
            Ok(address.map_or_else(|| Seen::NotYet("no address".into()), Seen::Done))
        })?)
    }

    /// The side of a component: the program of its people, on the node.
    fn component(&self) -> Result<Side> {
        let address = self.address_of(&format!("{NAME}-backend"), "/spec/clusterIP")?;
        let secret = self.paths.pki().join(&self.namespace);
        write(&secret, PASSWORD)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/component.py");
        let python = host::on(&self.paths, Host::Node, PYTHON)?.arg("-I").arg(script);
        let python = python.arg(&self.ours.address).arg(secret);
        let python = python.args([address.to_string(), COMPONENTS.to_string()]);
        let log = self.paths.daemons().log(&self.clients(Host::Node));
        let driver = Driver::start(&mut python.into_command(), &log)?;
        let connect: Connect = Arc::new(|to| host::connect(Host::Node, to, DEADLINE));
        Ok(Side { connect, ..Side::of_component(&self.ours, driver) })
    }

    /// The log of the clients on a host.
    fn clients(&self, on: Host) -> String {
        format!("{}-{}", self.namespace, on.name())
    }

    /// The people of a server, on a host.
    fn side(&self, software: Software, domain: &str, on: Host, server: &Server) -> Result<Side> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/people.py");
        let log = self.paths.daemons().log(&self.clients(on));
        // Isolated from the user's Python settings and the user's own packages.
        let python = host::on(&self.paths, on, PYTHON)?.arg("-I").arg(script);
        let driver = Driver::start(&mut python.into_command(), &log)?;
        let connect: Connect = Arc::new(move |to| host::connect(on, to, DEADLINE));
        let at = SocketAddr::new(server.address, CLIENTS);
        Ok(Side {
            domain: domain.to_owned(),
            server: software,
            features: Features::default(),
            driver: Arc::new(driver),
            register: registration(Arc::clone(&connect), at, domain),
            login: json!({
                "password": PASSWORD,
                "host": at.ip().to_string(),
                "port": at.port(),
                "ca": server.authority,
            }),
            connect,
        })
    }
}

/// Restarts the partner's server for the other sides of these sites, and publishes their records.
pub fn start_outside(paths: &Paths, sites: &[Site]) -> Result<()> {
    let domains: Vec<&Domain> = sites.iter().map(|site| &site.theirs).collect();
    let all: Vec<String> = domains.iter().flat_map(|domain| domain.names()).collect();
    let lines: Vec<String> = all
        .iter()
        .map(|name| {
            format!("update add _xmpp-server._tcp.{name} 60 SRV 0 5 5269 {PARTNER_SERVER}.")
        })
        .collect();
    public_dns::update(paths, &lines.join("\n"))?;
    let subject = Subject { name: KEY_PAIR, group: None, alternative_names: all };
    let authority = Authority::create(&paths.pki(), &format!("{KEY_PAIR}-ca"))?;
    authority.issue(KEY_PAIR, &subject, Usage::Both)?;
    let usual = read(&paths.source.join("prosody/partner.cfg.lua"))?;
    let key_pair = format!("/etc/prosody/{KEY_PAIR}");
    let settings = server::outside(&usual, &domains, &key_pair, Host::Partner.address().into());
    let (certificate, key) = (format!("{KEY_PAIR}.crt"), format!("{KEY_PAIR}.key"));
    let files = [
        (SETTINGS, settings),
        (certificate.as_str(), read(&paths.pki().join(&certificate))?),
        (key.as_str(), read(&paths.pki().join(&key))?),
    ];
    Ok(partner::restart_with(paths, &files)?)
}

/// Deletes the namespaces of these sites, and waits for their end if `wait` says so.
pub fn delete(paths: &Paths, sites: &[Site], wait: bool) -> Result<()> {
    Ok(kubectl(paths)?
        .args(["delete", "namespace", "--ignore-not-found", "--timeout=3m"])
        .arg(format!("--wait={wait}"))
        .args(sites.iter().map(|site| &site.namespace))
        .ok()?)
}

/// How that server authenticates itself.
const fn authentication(release: Release) -> Authentication {
    match release {
        // It never offers or uses EXTERNAL.
        Release::Jabberd2 => Authentication::Dialback,
        _ => Authentication::Minted,
    }
}

/// The same release, as a backend in a pod.
const fn packaged(release: Release) -> backend::Release {
    match release {
        Release::Prosody0_12 => backend::Release::Prosody0_12,
        Release::Prosody13 => backend::Release::Prosody13,
        Release::Ejabberd23 => backend::Release::Ejabberd23,
        Release::Ejabberd24 => backend::Release::Ejabberd24,
        Release::Jabberd2 => backend::Release::Jabberd2,
    }
}
