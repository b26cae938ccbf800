//! One federation with its namespace and domain, and what a fault may do there.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fixture::{CERTIFICATE, Fixture, PROBER, PROBER_TOKEN};
use super::json::lay_over;
use crate::command::Run;
use crate::conditions::Snapshot;
use crate::error::{Error, Result};
use crate::federation;
use crate::host;
use crate::kubernetes::{apply, get, kubectl};
use crate::network::Host;
use crate::paths::{Paths, read};
use crate::pki::{Authority, Subject, Usage};
use crate::policy::pod_address;
use crate::public_dns::{self, LOCAL_ZONE};
use crate::wait::{Seen, Wait};

/// The name of each federation.
pub const NAME: &str = "example";
/// The label of the namespaces.
const LABEL: &str = "lab/catalogue";

/// The place of one federation.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The lab.
    pub paths: Paths,
    /// The kind of the federation.
    pub fixture: Fixture,
    /// Its namespace.
    pub namespace: String,
    /// Its domain.
    pub domain: String,
    /// Its host.
    pub host: String,
    /// Since when.
    since: Instant,
}

impl Stage {
    /// The stage of that kind and number.
    pub fn new(paths: &Paths, fixture: Fixture, number: usize) -> Self {
        let name = format!("{}-{number}", fixture.name());
        let domain = format!("{name}.{LOCAL_ZONE}");
        Self {
            paths: paths.clone(),
            fixture,
            namespace: format!("catalogue-{name}"),
            host: format!("xmpp.{domain}"),
            domain,
            since: Instant::now(),
        }
    }

    /// Creates the namespace, what the federation refers to, and the federation.
    pub fn build(&mut self) -> Result<()> {
        self.since = Instant::now();
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted", LABEL: "yes"},
            },
        });
        apply(&self.paths, &namespace.to_string())?;
        if self.fixture == Fixture::Certified {
            self.put_certificate(&self.good_certificate()?)?;
        }
        if self.fixture == Fixture::Probed {
            self.apply(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": PROBER},
                "stringData": {"secret": PROBER_TOKEN},
            }))?;
        }
        self.restore_spec()
    }

    /// The federation as it should be.
    pub fn restore_spec(&self) -> Result<()> {
        self.respec(&json!({}))
    }

    /// The federation with other settings.
    pub fn respec(&self, change: &Value) -> Result<()> {
        let mut spec = self.fixture.spec(&self.namespace, &self.domain);
        lay_over(&mut spec, change);
        let object = json!({
            "apiVersion": "xmppfederation.dev/v1alpha1",
            "kind": "XmppFederation",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": spec,
        });
        apply(&self.paths, &object.to_string())
    }

    /// kubectl in the namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<()> {
        kubectl(&self.paths)?.args(["-n", &self.namespace]).args(args).ok()
    }

    /// Applies an object; its namespace is filled in.
    pub fn apply(&self, mut object: Value) -> Result<()> {
        lay_over(&mut object, &json!({"metadata": {"namespace": self.namespace}}));
        apply(&self.paths, &object.to_string())
    }

    /// Deletes an object and waits until it is gone.
    pub fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.kubectl(&["delete", kind, name, "--ignore-not-found", "--timeout=60s"])
    }

    /// An object of the namespace.
    pub fn get(&self, kind: &str, name: &str) -> Result<Value> {
        get(&self.paths, &[kind, name, "-n", &self.namespace])
    }

    /// The state of the federation.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.get("xmppfederation", NAME).map(Snapshot::of)
    }

    /// The address of the load balancer.
    pub fn address(&self) -> Result<IpAddr> {
        let service = self.get("service", NAME)?;
        let address = service.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str);
        address.and_then(|address| address.parse().ok()).ok_or_else(|| {
            Error::State(format!("Service {NAME} of {} has no address", self.namespace))
        })
    }

    /// The address of the engine pod.
    pub fn pod(&self) -> Result<IpAddr> {
        pod_address(&self.paths, &self.namespace, "app.kubernetes.io/component=engine")
    }

    /// Waits until this number of engine pods is ready.
    pub fn wait_for_pods(&self, number: u64) -> Result<()> {
        Wait::new(format!("{number} engine pods of {}", self.namespace), Duration::from_mins(1))
            .until(|| {
                let deployment = self.get("deployment", NAME)?;
                let ready = deployment.pointer("/status/readyReplicas").and_then(Value::as_u64);
                Ok(Seen::done_if(ready == Some(number), format!("{ready:?} are ready")))
            })
    }

    /// Waits until the current spec is applied, and every engine pod is of its revision.
    pub fn wait_for_rollout(&self) -> Result<()> {
        Wait::new(format!("the rollout of {}", self.namespace), Duration::from_mins(2)).until(
            || {
                let now = self.snapshot()?;
                let generation = now.object.pointer("/metadata/generation");
                let applied = now.object.pointer("/status/observedGeneration") == generation;
                let deployment = self.get("deployment", NAME)?;
                let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64);
                let wanted = number("/spec/replicas");
                let done = number("/metadata/generation") == number("/status/observedGeneration")
                    && ["updatedReplicas", "readyReplicas", "replicas"]
                        .iter()
                        .all(|field| number(&format!("/status/{field}")) == wanted);
                Ok(Seen::done_if(applied && done, now.table()))
            },
        )
    }

    /// Waits until the federation has existed for that time.
    pub fn wait_for_age(&self, age: Duration) -> Result<()> {
        let left = age.saturating_sub(self.since.elapsed());
        if !left.is_zero() {
            thread::sleep(left);
        }
        Ok(())
    }

    /// Changes the zone, with lines of nsupdate(1); `<domain>`, `<host>` and `<address>` are filled in.
    pub fn zone(&self, lines: &str) -> Result<()> {
        let mut text = lines.replace("<domain>", &self.domain).replace("<host>", &self.host);
        if text.contains("<address>") {
            text = text.replace("<address>", &self.address()?.to_string());
        }
        public_dns::update(&self.paths, &text)
    }

    /// Writes the records as they should be, and removes all others.
    pub fn publish(&self) -> Result<()> {
        if self.fixture == Fixture::Published {
            return Ok(());
        }
        self.zone(
            "update delete <host>\n\
             update delete <domain>\n\
             update delete ns.<domain>\n\
             update delete _tcp.<domain> NS\n\
             update delete _xmpp-server._tcp.<domain>\n\
             update delete _xmpps-server._tcp.<domain>\n\
             update add <host> 1 A <address>\n\
             update add _xmpp-server._tcp.<domain> 1 SRV 0 5 5269 <host>.\n\
             update add _xmpps-server._tcp.<domain> 1 SRV 0 5 5270 <host>.",
        )
    }

    /// Removes every record that the stage may have written.
    pub fn unpublish(&self) -> Result<()> {
        self.zone(
            "update delete <host>\n\
             update delete <domain>\n\
             update delete ns.<domain>\n\
             update delete _tcp.<domain> NS\n\
             update delete _xmpp-server._tcp.<domain>\n\
             update delete _xmpps-server._tcp.<domain>",
        )
    }

    /// Attaches Prosody with the DNS server from the status.
    pub fn attach_backend(&self, dns_server: &str) -> Result<()> {
        apply(&self.paths, &self.backend(dns_server)?)
    }

    /// The manifest of the backend.
    pub fn backend(&self, dns_server: &str) -> Result<String> {
        Ok(federation::backend_manifest(&self.paths, dns_server)?
            .replace("namespace: im", &format!("namespace: {}", self.namespace))
            .replace(LOCAL_ZONE, &self.domain))
    }

    /// The DNS server for the backend.
    pub fn backend_dns(&self) -> Result<String> {
        let snapshot = self.snapshot()?;
        let server = federation::backend_dns(&snapshot).map(str::to_owned);
        server.ok_or_else(|| Error::State("the status names no DNS server for the backend".into()))
    }

    /// Adds rules to the packet filter of a host, in a table of this stage: the content of a chain that sees forwarded
    /// packets, or of one that translates addresses.
    pub fn filter(&self, on: Host, forward: &str, translate: &str) -> Result<()> {
        let table = self.table();
        let rules = format!(
            "table ip {table}\ndelete table ip {table}\n\
             table ip {table} {{\n\
               chain translate {{ type nat hook prerouting priority -110; policy accept;\n{translate}\n}}\n\
               chain forward {{ type filter hook forward priority -10; policy accept;\n{forward}\n}}\n\
               chain input {{ type filter hook input priority -10; policy accept;\n{forward}\n}}\n\
             }}\n"
        );
        host::in_network_of(on, "nft").args(["-f", "-"]).input(rules).ok()
    }

    /// Removes them.
    pub fn no_filter(&self, on: Host) -> Result<()> {
        let table = self.table();
        let rules = format!("table ip {table}\ndelete table ip {table}\n");
        host::in_network_of(on, "nft").args(["-f", "-"]).input(rules).ok()
    }

    fn table(&self) -> String {
        self.namespace.replace('-', "_")
    }

    /// Certificate and key of a private CA for the domain, with the certificate of the CA.
    pub fn good_certificate(&self) -> Result<Pair> {
        self.issue(vec![self.domain.clone()], Usage::Both)
    }

    /// Certificate and key for these names.
    pub fn issue(&self, names: Vec<String>, usage: Usage) -> Result<Pair> {
        let directory = self.paths.pki().join(&self.namespace);
        let authority = Authority::create(&directory, "ca")?;
        let subject = Subject { name: "catalogue", group: None, alternative_names: names };
        authority.issue("leaf", &subject, usage)?;
        let text = |file: &str| read(&directory.join(file));
        Ok(Pair { leaf: text("leaf.crt")?, issuer: text("ca.crt")?, key: text("leaf.key")? })
    }

    /// Writes the Secret that the federation's certificate is in.
    pub fn put_certificate(&self, pair: &Pair) -> Result<()> {
        self.put_pem(&format!("{}{}", pair.leaf, pair.issuer), &pair.key)
    }

    /// Waits until the engine pods serve the certificate of the Secret.
    pub fn wait_for_certificate(&self) -> Result<()> {
        let wanted = self.get("secret", CERTIFICATE)?.pointer("/data/tls.crt").cloned();
        Wait::new(format!("the certificate of {}", self.namespace), Duration::from_mins(1)).until(
            || {
                let served = self.get("secret", &format!("{NAME}-tls-serving"))?;
                let is_copied = served.pointer("/data/tls.crt") == wanted.as_ref();
                Ok(Seen::done_if(is_copied, "the operator has not copied it"))
            },
        )?;
        // The kubelet updates volumes of a pod at once when the pod changes, and once a minute otherwise.
        let engine = "app.kubernetes.io/component=engine";
        self.kubectl(&["annotate", "pods", "-l", engine, "catalogue=renewed", "--overwrite"])
    }

    /// Writes the Secret with any content.
    pub fn put_pem(&self, certificate: &str, key: &str) -> Result<()> {
        self.apply(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": CERTIFICATE},
            "stringData": {"tls.crt": certificate, "tls.key": key},
        }))
    }
}

/// A certificate with its issuer and its key, all PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub leaf: String,
    /// The certificate of its issuer.
    pub issuer: String,
    /// Its key.
    pub key: String,
}

/// Deletes the namespaces of all stages.
pub fn remove_all(paths: &Paths) -> Result<()> {
    kubectl(paths)?
        .args(["delete", "namespaces", "-l", &format!("{LABEL}=yes"), "--timeout=5m"])
        .ok()?;
    federation::clear(paths)
}

/// The program of a host, with its arguments.
pub fn program(on: Host, name: &str, args: &[&str]) -> Run {
    host::in_network_of(on, name).args(args)
}
