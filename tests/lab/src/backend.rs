//! XMPP servers as backends in pods of the lab, unmodified from their packages.
//!
//! The settings that attach a server are those of `operator/src/configure`, which the status of a federation and the
//! pages of docs/backends show as well.

use std::fs;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::Value;

use crate::client::Server;
use crate::command::Run;
use crate::debian::Debian;
use crate::error::{Error, Result};
use crate::kubernetes::{apply, get, kubectl};
use crate::manifest::{fill, render_backend};
use crate::node::import_image;
use crate::parts::{self, PROSODY_IMAGE, Part};
use crate::paths::{Paths, make_dir, read, write};
use crate::person::Person;
use crate::wait::{Seen, Wait};

/// One release of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Prosody of Debian 12.
    Prosody0_12,
    /// Prosody of Debian 13.
    Prosody13,
    /// ejabberd of Debian 12.
    Ejabberd23,
    /// ejabberd of Debian 13.
    Ejabberd24,
    /// jabberd2 of Debian 12.
    Jabberd2,
}

/// How engine and server authenticate each other; `spec.backends[].server.authentication`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// By certificates.
    Minted,
    /// By dialback over TLS.
    Dialback,
    /// By dialback in the clear.
    PlainDialback,
}

impl Authentication {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minted, Self::Dialback, Self::PlainDialback];

    /// Its value in the resource.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Minted => "Minted",
            Self::Dialback => "Dialback",
            Self::PlainDialback => "PlainDialback",
        }
    }

    /// Part of the names of its settings, objects and domains.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Minted => "minted",
            Self::Dialback => "dialback",
            Self::PlainDialback => "plain",
        }
    }
}

impl Release {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Prosody0_12, Self::Prosody13, Self::Ejabberd23, Self::Ejabberd24, Self::Jabberd2];

    /// The name of the server, also of its files.
    pub const fn server(self) -> &'static str {
        match self {
            Self::Prosody0_12 | Self::Prosody13 => "prosody",
            Self::Ejabberd23 | Self::Ejabberd24 => "ejabberd",
            Self::Jabberd2 => "jabberd2",
        }
    }

    /// A name for namespaces and domains.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Prosody0_12 => "prosody-0-12",
            Self::Prosody13 => "prosody-13",
            Self::Ejabberd23 => "ejabberd-23",
            Self::Ejabberd24 => "ejabberd-24",
            Self::Jabberd2 => "jabberd2",
        }
    }

    /// The ways to authenticate that it supports.
    pub const fn authentications(self) -> &'static [Authentication] {
        match self {
            // It never offers or uses EXTERNAL.
            Self::Jabberd2 => &[Authentication::Dialback, Authentication::PlainDialback],
            _ => &Authentication::ALL,
        }
    }

    /// The root file system that its image comes from; `None` for the lab's own Prosody.
    const fn debian(self) -> Option<Debian> {
        match self {
            Self::Prosody0_12 => None,
            Self::Prosody13 => Some(Debian::Prosody13),
            Self::Ejabberd23 => Some(Debian::Ejabberd12),
            Self::Ejabberd24 => Some(Debian::Ejabberd13),
            Self::Jabberd2 => Some(Debian::Jabberd12),
        }
    }

    /// The name of its image on the node.
    pub fn image(self) -> String {
        self.debian().map_or_else(|| PROSODY_IMAGE.to_owned(), Debian::image_name)
    }

    /// Builds its image if the cache does not have it, and imports it into the node.
    pub fn import(self, paths: &Paths) -> Result<()> {
        let file = match self.debian() {
            None => Part::Prosody.file(paths, "prosody.tar")?,
            Some(debian) => {
                parts::build_only(paths, &[Part::Server(debian), Part::Image(debian)])?;
                Part::Image(debian).file(paths, "image.tar")?
            }
        };
        import_image(paths, &file)
    }

    /// The settings that attach it, from the operator's sources.
    pub fn settings(self, paths: &Paths, authentication: Authentication) -> Result<String> {
        let extension = match self.server() {
            "prosody" => "lua",
            "ejabberd" => "yml",
            _ => "xml",
        };
        configure(paths, &format!("{}.{}.{extension}", self.server(), authentication.short()))
    }
}

/// A file of the operator's sources.
pub fn configure(paths: &Paths, file: &str) -> Result<String> {
    read(&paths.tree().join("operator/src/configure").join(file))
}

/// A server that is attached to a federation.
#[derive(Debug, Clone)]
pub struct Backend {
    /// The server.
    pub release: Release,
    /// How it authenticates.
    pub authentication: Authentication,
    /// The namespace of federation and server.
    pub namespace: String,
    /// The name of its Deployment and Service.
    pub name: String,
    /// The name of the federation.
    pub federation: String,
    /// The Secret with its certificate, as the status names it.
    pub certificate: String,
    /// The one user of the only domain.
    pub person: Person,
}

impl Backend {
    /// All of its objects, with the DNS server from the federation's status.
    pub fn manifest(&self, paths: &Paths, dns_server: &str) -> Result<String> {
        let Self { release, authentication, namespace, name, federation, certificate, person } =
            self;
        let domain = &person.domain;
        let pod = fill(
            &configure(paths, "pod.yaml")?,
            &[
                ("BACKEND_DNS", dns_server),
                ("NAMESPACE", namespace),
                ("FEDERATION", federation),
                ("CERTIFICATE", certificate),
            ],
        );
        let host = fill(&configure(paths, "prosody.host.lua")?, &[("DOMAIN", domain)]);
        // Only for clients; the settings have no certificate of servers.
        let client_tls = match authentication {
            Authentication::PlainDialback => {
                "certfiles: [/etc/federation/tls/tls.crt, /etc/federation/tls/tls.key]"
            }
            Authentication::Minted | Authentication::Dialback => "",
        };
        let accounts = match release {
            Release::Jabberd2 => accounts(paths, name, person)?,
            _ => String::new(),
        };
        render_backend(
            paths,
            &format!("{}.yaml", release.server()),
            &[
                ("SETTINGS", release.settings(paths, *authentication)?.trim_end()),
                ("HOST", host.trim_end()),
                ("POD", pod.trim_end()),
                ("CLIENT_TLS", client_tls),
                ("ACCOUNTS", &accounts),
                ("IMAGE", &release.image()),
                ("APP", release.server()),
                ("NAME", name),
                ("NAMESPACE", namespace),
                ("DOMAIN", domain),
                ("USER", &person.user),
                ("PASSWORD", &person.password),
            ],
        )
    }

    /// What `spec.backends[].server` of the federation has.
    pub fn reference(&self) -> String {
        let Self { name, namespace, authentication, .. } = self;
        match authentication {
            // The default.
            Authentication::Minted => format!("{{host: {name}.{namespace}.svc}}"),
            _ => format!(
                "{{host: {name}.{namespace}.svc, authentication: {}}}",
                authentication.word()
            ),
        }
    }

    /// Applies it.
    pub fn attach(&self, paths: &Paths, dns_server: &str) -> Result<()> {
        apply(paths, &self.manifest(paths, dns_server)?)
    }

    /// Changes the number of its pods: 0 or 1.
    pub fn scale(&self, paths: &Paths, replicas: u32) -> Result<()> {
        kubectl(paths)?
            .args(["scale", "deployment", &self.name, "-n", &self.namespace])
            .arg(format!("--replicas={replicas}"))
            .ok()
    }

    /// Waits until it serves clients.
    pub fn wait(&self, paths: &Paths) -> Result<()> {
        let Self { name, namespace, .. } = self;
        Wait::new(format!("backend {namespace}/{name} to be available"), Duration::from_mins(3))
            .log(paths.daemons().log("kubelet"))
            .until(|| {
                let deployment: Value = get(paths, &["deployment", name, "-n", namespace])?;
                let available = deployment.pointer("/status/availableReplicas");
                Ok(Seen::done_if(available == Some(&Value::from(1)), "no replica available"))
            })
    }

    /// The address for clients: its Service, with the authority that issued its certificate.
    pub fn server(&self, paths: &Paths) -> Result<Server> {
        let Self { name, namespace, federation, .. } = self;
        let service: Value = get(paths, &["service", name, "-n", namespace])?;
        let address = service
            .pointer("/spec/clusterIP")
            .and_then(Value::as_str)
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| Error::State(format!("Service {name} has no cluster address")))?;
        let config_map = format!("{federation}-backend-ca");
        let map: Value = get(paths, &["configmap", &config_map, "-n", namespace])?;
        let certificate = map
            .pointer("/data/ca.crt")
            .and_then(Value::as_str)
            .ok_or_else(|| Error::State(format!("ConfigMap {config_map} has no ca.crt")))?;
        let authority = paths.pki().join(format!("backend-ca-{namespace}.crt"));
        write(&authority, certificate)?;
        Ok(Server { address, authority })
    }
}

/// The logs of all pods of a namespace, and its pods and events, for the report of a failure.
pub fn logs(paths: &Paths, namespace: &str) -> Result<String> {
    let mut text = String::new();
    let logs = ["logs", "-n", namespace, "-l", "app.kubernetes.io/name"];
    let more = ["--prefix", "--all-containers", "--ignore-errors", "--tail=900"];
    for run in [
        kubectl(paths)?.args(logs).args(more),
        kubectl(paths)?.args(["get", "pods,events", "-n", namespace]),
    ] {
        let output = run.output()?;
        text.push_str(&String::from_utf8_lossy(&output.stdout));
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// jabberd2's accounts, base64: a database of `SQLite`.
fn accounts(paths: &Paths, name: &str, person: &Person) -> Result<String> {
    const SCRIPT: &str = "
import sqlite3, sys
path, user, realm, password = sys.argv[1:]
with sqlite3.connect(path) as accounts:
    accounts.execute('CREATE TABLE authreg (username TEXT, realm TEXT, password TEXT)')
    accounts.execute('INSERT INTO authreg VALUES (?, ?, ?)', (user, realm, password))
";
    let directory = paths.state.join("accounts");
    make_dir(&directory)?;
    let file = directory.join(format!("{name}-{}.db", person.domain));
    // From an earlier run.
    let _ = fs::remove_file(&file);
    Run::new("/usr/bin/python3")
        .args(["-I", "-c", SCRIPT])
        .arg(&file)
        .args([&person.user, &person.domain, &person.password])
        .ok()?;
    Ok(BASE64.encode(&fs::read(&file).map_err(Error::io("reading", &file))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_has_a_manifest_without_open_names() {
        let paths = Paths::from_env().unwrap();
        for release in Release::ALL {
            for &authentication in release.authentications() {
                if release == Release::Jabberd2 {
                    continue;
                }
                let backend = Backend {
                    release,
                    authentication,
                    namespace: "im".into(),
                    name: release.server().into(),
                    federation: "example".into(),
                    certificate: "example-backend-tls".into(),
                    person: Person::cupuser1(),
                };
                let manifest = backend.manifest(&paths, "10.96.0.7").unwrap();
                for document in manifest.split("\n---\n") {
                    let object: Value = serde_saphyr::from_str(document).unwrap();
                    assert_eq!(object["metadata"]["name"], backend.name, "{document}");
                }
                assert!(manifest.contains("nameservers: ['10.96.0.7']"), "{manifest}");
            }
        }
    }
}
