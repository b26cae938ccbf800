//! Every XMPP server of the lab as a backend, unmodified, with every way to authenticate that it supports.

use std::thread;
use std::time::Instant;

use lab::backend::{self, Backend, Release};
use lab::client::Client;
use lab::conditions::{Snapshot, Watch};
use lab::error::{Error, Result};
use lab::federation::{self, NAME};
use lab::kubernetes::{apply, kubectl};
use lab::network::Host;
use lab::partner;
use lab::paths::Paths;
use lab::person::Person;
use lab::public_dns::{LOCAL_ZONE, PARTNER_ZONE};
use lab::scenario::conversation;
use lab::scenario::federated::{Federated, TURN};
use lab::wait::Wait;
use serde_json::{Value, json};

/// Reasons of a backend whose pod is gone: the Service has no endpoint, or its rules are not removed yet.
const AWAY: [&str; 3] = ["ConnectRefused", "ConnectTimedOut", "StreamFailed"];

/// One release in a namespace of its own: a federation with a domain and a backend for each way to authenticate.
struct Site {
    paths: Paths,
    release: Release,
    namespace: String,
    backends: Vec<Backend>,
    begun: Instant,
}

impl Site {
    fn new(paths: &Paths, release: Release, begun: Instant) -> Self {
        let namespace = format!("backend-{}", release.label());
        let first = release.authentications().first();
        let backend = |authentication: &backend::Authentication| {
            // The first backend has the short name.
            let suffix = match first {
                Some(first) if first == authentication => String::new(),
                _ => format!("-{}", authentication.short()),
            };
            let authentication = *authentication;
            let short = authentication.short();
            let domain = format!("{short}.{}.{LOCAL_ZONE}", release.label());
            Backend {
                release,
                authentication,
                namespace: namespace.clone(),
                name: short.into(),
                federation: NAME.into(),
                certificate: format!("{NAME}-backend-tls{suffix}"),
                person: Person::new(&format!("{short}-{}", release.label()), &domain),
            }
        };
        let backends = release.authentications().iter().map(backend).collect();
        Self { paths: paths.clone(), release, namespace, backends, begun }
    }

    fn objects(&self) -> Value {
        let domains: Vec<Value> = self
            .backends
            .iter()
            .map(|one| json!({"name": one.person.domain, "backend": one.name}))
            .collect();
        let backends: Vec<Value> = self
            .backends
            .iter()
            .map(|one| {
                json!({"name": one.name, "server": {
                    "host": format!("{}.{}.svc", one.name, self.namespace),
                    "authentication": one.authentication.word(),
                }})
            })
            .collect();
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": self.namespace,
                    "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                },
            },
            {
                "apiVersion": "xmppfederation.dev/v1alpha1",
                "kind": "XmppFederation",
                "metadata": {"name": NAME, "namespace": self.namespace},
                "spec": {
                    "domains": domains,
                    "backends": backends,
                    "replicas": 1,
                    "egress": {"allowNetworks": ["198.18.0.0/15"]},
                },
            },
        ]})
    }

    fn report(&self, what: &str) {
        println!(
            "{:6.1} s  {:<13} {what}",
            self.begun.elapsed().as_secs_f64(),
            self.release.label()
        );
    }

    fn until(
        &self,
        watch: &mut Watch,
        what: &str,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Result<()> {
        watch.until(Wait::new(what, TURN), TURN, |_, _| (), wanted)?;
        self.report(what);
        Ok(())
    }

    /// From nothing to messages in both directions through every backend, and again after all of them were away.
    fn run(&self) -> Result<()> {
        apply(&self.paths, &self.objects().to_string())?;
        let mut watch = Watch::start(&self.paths, &self.namespace, NAME)?;
        self.until(&mut watch, "the status names the DNS server", |now| dns_server(now).is_some())?;
        let dns_server = dns_server(&watch.last).unwrap_or_default().to_owned();
        for backend in &self.backends {
            backend.attach(&self.paths, &dns_server)?;
        }
        let with_round_trip = |now: &Snapshot| now.has("BackendReady", "True", "RoundTripSeen");
        self.until(&mut watch, "a ping came back through every backend", with_round_trip)?;
        self.until(&mut watch, "the server behind every backend is recognised", |now| {
            (0..self.backends.len()).all(|index| is_recognised(now, index, self.release))
        })?;
        self.until(&mut watch, "Ready", |now| now.is_true("Ready"))?;
        federation::wait_for_public_port_in(&self.paths, &self.namespace, NAME)?;
        let mut theirs = Vec::new();
        for backend in &self.backends {
            let (mut one, mut other) = (self.log_in(backend)?, self.log_in_partner(backend)?);
            conversation::meet_and_chat(&mut one, &mut other, &mut |_| ())
                .map_err(|error| of(backend, &error))?;
            self.report(&format!("{}: contacts, presence, messages", backend.name));
            theirs.push(other);
        }

        for backend in &self.backends {
            backend.scale(&self.paths, 0)?;
        }
        self.until(&mut watch, "BackendReady is False without the backends", |now| {
            AWAY.iter().any(|reason| now.has("BackendReady", "False", reason))
        })?;
        for backend in &self.backends {
            backend.scale(&self.paths, 1)?;
        }
        self.until(&mut watch, "the backends are back", with_round_trip)?;
        for (backend, other) in self.backends.iter().zip(&mut theirs) {
            let mut one = self.log_in(backend)?;
            conversation::say(&mut one, other, "back again", &mut |_| ())
                .and_then(|()| conversation::say(other, &mut one, "welcome back", &mut |_| ()))
                .map_err(|error| of(backend, &error))?;
        }
        self.report("messages in both directions again");
        Ok(())
    }

    fn log_in(&self, backend: &Backend) -> Result<Client> {
        backend.wait(&self.paths)?;
        let server = backend.server(&self.paths)?;
        Client::log_in(&self.paths, Host::Node, &backend.person, &server)
            .map_err(|error| of(backend, &error))
    }

    /// A person at the partner for this backend only, because the tests of all backends run side by side.
    fn log_in_partner(&self, backend: &Backend) -> Result<Client> {
        let person = Person::new(&format!("friend-of-{}", backend.person.user), PARTNER_ZONE);
        partner::register(&self.paths, &person)?;
        let server = federation::partner_server(&self.paths);
        Client::log_in(&self.paths, Host::Client, &person, &server)
    }
}

fn of(backend: &Backend, error: &Error) -> Error {
    Error::State(format!("{}: {error}", backend.name))
}

fn dns_server(snapshot: &Snapshot) -> Option<&str> {
    snapshot.object.pointer("/status/backends/0/dnsServer").and_then(Value::as_str)
}

/// The status has the server behind this backend, the version of its package, and its settings only.
fn is_recognised(snapshot: &Snapshot, index: usize, release: Release) -> bool {
    let text = |field: &str| {
        let found = snapshot.object.pointer(&format!("/status/backends/{index}/{field}"));
        found.and_then(Value::as_str).unwrap_or_default()
    };
    let (type_, version, file) = match release {
        Release::Prosody0_12 => ("Prosody", "0.12.3", "prosody.cfg.lua"),
        Release::Prosody13 => ("Prosody", "13.0.1", "prosody.cfg.lua"),
        Release::Ejabberd23 => ("Ejabberd", "23.01", "ejabberd.yml"),
        Release::Ejabberd24 => ("Ejabberd", "24.12", "ejabberd.yml"),
        Release::Jabberd2 => ("Jabberd2", "2.7.0", "s2s.xml"),
    };
    let configure = text("configure");
    let only = ["prosody.cfg.lua", "ejabberd.yml", "s2s.xml"]
        .iter()
        .all(|other| configure.contains(other) == (*other == file));
    text("server/type") == type_ && text("server/version").contains(version) && only
}

fn delete(paths: &Paths, sites: &[Site], wait: bool) -> Result<()> {
    kubectl(paths)?
        .args(["delete", "namespace", "--ignore-not-found", "--timeout=3m"])
        .arg(format!("--wait={wait}"))
        .args(sites.iter().map(|site| &site.namespace))
        .ok()
}

#[test]
fn every_server_federates_with_every_authentication_and_again_after_it_was_away() {
    let paths = Federated::stage().unwrap();
    let begun = Instant::now();
    let sites = Release::ALL.map(|release| Site::new(&paths, release, begun));
    delete(&paths, &sites, true).unwrap();
    for site in &sites {
        site.release.import(&paths).unwrap();
    }
    let failures: Vec<String> = thread::scope(|scope| {
        let running = sites.each_ref().map(|site| scope.spawn(move || (site, site.run())));
        let ended = running.into_iter().map(|thread| thread.join().unwrap());
        ended
            .filter_map(|(site, result)| {
                let error = result.err()?;
                let logs = backend::logs(&paths, &site.namespace).unwrap_or_default();
                Some(format!("=== {:?}: {error}\n--- logs\n{logs}", site.release))
            })
            .collect()
    });
    // The next test does not wait for the end of these namespaces, which have other names and other domains.
    delete(&paths, &sites, false).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
