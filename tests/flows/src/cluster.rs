//! The flows on the lab's cluster: the server is in a pod behind the engine that the operator runs, and the partner's
//! server of the lab is outside. People of ours log in from the node, and people of theirs from a host of the internet.

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
use lab::paths::{Paths, read};
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
/// The name of the key pair of the server outside.
const KEY_PAIR: &str = "flows";
/// The settings of the server outside.
const SETTINGS: &str = "flows.cfg.lua";

/// One server in a namespace of its own, and the domain of the other side.
#[derive(Debug)]
pub struct Site {
    paths: Paths,
    release: Release,
    backend: Backend,
    ours: Domain,
    theirs: Domain,
}

impl Site {
    /// A site with that server. Its domains and those of the other side are its own, so that several sites can run at the
    /// same time.
    pub fn new(paths: &Paths, release: Release) -> Self {
        let packaged = packaged(release);
        let label = packaged.label();
        let namespace = format!("flows-{label}");
        let ours = Domain::below(&format!("flows-{label}.{LOCAL_ZONE}"), domain::OURS);
        let theirs = Domain::below(&format!("flows-{label}.{LOCAL_ZONE}"), domain::THEIRS);
        let backend = Backend {
            release: packaged,
            authentication: match release {
                // It never offers or uses EXTERNAL.
                Release::Jabberd2 => Authentication::Dialback,
                _ => Authentication::Minted,
            },
            namespace,
            name: BACKEND.into(),
            federation: NAME.into(),
            certificate: format!("{NAME}-backend-tls"),
            person: Person::new("someone", &ours.address),
        };
        Self { paths: paths.clone(), release, backend, ours, theirs }
    }

    /// The server behind the engine.
    pub const fn software(&self) -> Software {
        Software::Server(self.release)
    }

    /// Imports the server's image into the node.
    pub fn import(&self) -> Result<()> {
        Ok(self.backend.release.import(&self.paths)?)
    }

    /// From nothing to Ready. Returns our side and theirs.
    pub fn start(&self) -> Result<(Side, Side)> {
        let Self { paths, backend, ours, theirs, .. } = self;
        let (namespace, domain) = (&backend.namespace, &ours.address);
        apply(paths, &self.objects().to_string())?;
        let mut watch = Watch::start(paths, namespace, NAME)?;
        let mut until = |what: &str, wanted: &dyn Fn(&Snapshot) -> bool| {
            watch.until(Wait::new(what, TURN), TURN, |_, _| (), wanted)?;
            Ok::<_, FlowError>(watch.last.clone())
        };
        let now = until("the status names the DNS server", &|now| {
            federation::backend_dns(now).is_some()
        })?;
        let manifest =
            backend.manifest(paths, federation::backend_dns(&now).unwrap_or_default())?;
        apply(paths, &server::in_pod(self.release, &manifest, domain, self.files()?))?;
        until("Ready", &|now| now.is_true("Ready"))?;
        federation::wait_for_public_port_in(paths, namespace, NAME)?;
        backend.wait(paths)?;
        let own = backend.server(paths)?;
        let mut ours = self.side(self.software(), domain, Host::Node, &own)?;
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

    /// The logs of the pods, of the server outside and of the clients.
    pub fn log(&self) -> String {
        let daemons = self.paths.daemons();
        let pods = backend::logs(&self.paths, &self.backend.namespace).unwrap_or_default();
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
        let Backend { namespace, authentication, .. } = &self.backend;
        let addresses = self.ours.addresses();
        let domains: Vec<Value> = addresses
            .iter()
            .take(self.software().served(addresses.len()))
            .map(|name| json!({"name": name, "backend": BACKEND}))
            .collect();
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": namespace,
                    "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": FILES, "namespace": namespace},
                "spec": {
                    "type": "LoadBalancer",
                    "selector": {"backend": BACKEND},
                    "ports": [{"name": "http", "port": HTTP}],
                },
            },
            {
                "apiVersion": "xmppfederation.dev/v1alpha1",
                "kind": "XmppFederation",
                "metadata": {"name": NAME, "namespace": namespace},
                "spec": {
                    "domains": domains,
                    "backends": [{"name": BACKEND, "server": {
                        "host": format!("{BACKEND}.{namespace}.svc"),
                        "authentication": authentication.word(),
                    }}],
                    "replicas": 1,
                    "egress": {"allowNetworks": ["198.18.0.0/15"]},
                },
            },
        ]})
    }

    /// The public address of links to files.
    fn files(&self) -> Result<IpAddr> {
        let wait = Wait::new(format!("Service {FILES} to have an address"), Duration::from_mins(1));
        Ok(wait.until(|| {
            let args = ["service", FILES, "-n", &self.backend.namespace];
            let service: Value = get(&self.paths, &args)?;
            let address = service.pointer("/status/loadBalancer/ingress/0/ip");
            let address = address.and_then(Value::as_str).and_then(|one| one.parse().ok());
            Ok(address.map_or_else(|| Seen::NotYet("no address".into()), Seen::Done))
        })?)
    }

    /// The log of the clients on a host.
    fn clients(&self, on: Host) -> String {
        format!("{}-{}", self.backend.namespace, on.name())
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
        .args(sites.iter().map(|site| &site.backend.namespace))
        .ok()?)
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
