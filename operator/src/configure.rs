//! Instructions for configuring a backend: text, and lines of configuration files.
//!
//! The lines are files of `configure/`. The tests of the lab run servers with exactly these lines, and the pages of
//! docs/backends show them.

use std::fmt::Write as _;
use std::net::IpAddr;

use crds::backend::{BackendAuthentication, ServerSoftware};
use crds::domain::Domain;
use crds::federation::reference::SecretKey;

use crate::build::ports;
use crate::federation::names;

/// Hosts that the example shows; the others have the same form.
const MAX_HOSTS: usize = 8;
/// Longest text in the status.
const MAX: usize = 4096;

/// The settings of one kind of server, for each way to authenticate. `None`: the server does not support it.
struct Server {
    software: ServerSoftware,
    name: &'static str,
    file: &'static str,
    minted: Option<&'static str>,
    dialback: &'static str,
    plain: &'static str,
    /// The lines of one host, if hosts have settings of their own.
    host: Option<&'static str>,
}

const SERVERS: [Server; 3] = [
    Server {
        software: ServerSoftware::Prosody,
        name: "Prosody",
        file: "prosody.cfg.lua",
        minted: Some(include_str!("configure/prosody.minted.lua")),
        dialback: include_str!("configure/prosody.dialback.lua"),
        plain: include_str!("configure/prosody.plain.lua"),
        host: Some(include_str!("configure/prosody.host.lua")),
    },
    Server {
        software: ServerSoftware::Ejabberd,
        name: "ejabberd",
        file: "ejabberd.yml",
        minted: Some(include_str!("configure/ejabberd.minted.yml")),
        dialback: include_str!("configure/ejabberd.dialback.yml"),
        plain: include_str!("configure/ejabberd.plain.yml"),
        host: None,
    },
    Server {
        software: ServerSoftware::Jabberd2,
        name: "jabberd2",
        file: "s2s.xml",
        minted: None,
        dialback: include_str!("configure/jabberd2.dialback.xml"),
        plain: include_str!("configure/jabberd2.plain.xml"),
        host: None,
    },
];

impl Server {
    const fn settings(&self, authentication: BackendAuthentication) -> Option<&'static str> {
        match authentication {
            BackendAuthentication::Minted => self.minted,
            BackendAuthentication::Dialback => Some(self.dialback),
            BackendAuthentication::PlainDialback => Some(self.plain),
        }
    }

    /// The name of the server and its settings, for a backend that hosts these domains.
    fn describe(&self, authentication: BackendAuthentication, domains: &[&Domain]) -> String {
        let Some(settings) = self.settings(authentication) else {
            return format!(
                "{} does not authenticate by certificates; set authentication: Dialback.\n",
                self.name
            );
        };
        let mut text = format!("{}, in {}:\n{settings}", self.name, self.file);
        // A host's settings are about its certificate.
        let host = self.host.filter(|_| authentication != BackendAuthentication::PlainDialback);
        if let Some(host) = host {
            for domain in domains.iter().take(MAX_HOSTS) {
                text.push_str(&host.replace("${DOMAIN}", &domain.to_string()));
            }
        }
        text
    }
}

/// The page of a server whose settings are not among [`SERVERS`].
const fn page(software: ServerSoftware) -> Option<&'static str> {
    match software {
        ServerSoftware::Openfire => Some("openfire.md"),
        ServerSoftware::Tigase => Some("tigase.md"),
        ServerSoftware::MongooseIm => Some("mongooseim.md"),
        ServerSoftware::CiscoImp => Some("cisco.md"),
        ServerSoftware::Prosody
        | ServerSoftware::Ejabberd
        | ServerSoftware::Jabberd2
        | ServerSoftware::Other => None,
    }
}

/// Three steps, with the settings of the server that was found, or of every server that has some here. `tls`: the Secret
/// with the backend's certificate.
pub fn backend(
    (name, namespace): (&str, &str),
    authentication: BackendAuthentication,
    dns_server: Option<IpAddr>,
    domains: &[&Domain],
    tls: &str,
    found: Option<ServerSoftware>,
) -> String {
    let ca = names::backend_ca(name);
    let dns = dns_server.map_or_else(
        || "<the ClusterIP of Service ".to_owned() + &names::backend_service(name) + ">",
        |ip| ip.to_string(),
    );
    let trust = match authentication {
        BackendAuthentication::Minted => format!(
            "Mount ConfigMap {ca} at /etc/federation/ca. If the backend has no certificate of its own for server-to-server streams, mount Secret {tls} at /etc/federation/tls."
        ),
        BackendAuthentication::Dialback => format!(
            "No CA to mount: the backend uses dialback instead of verifying certificates. If it has no certificate of its own for server-to-server streams, mount Secret {tls} at /etc/federation/tls."
        ),
        BackendAuthentication::PlainDialback => {
            "Nothing to mount: there is no TLS between engine and backend, and the backend uses dialback.".to_owned()
        }
    };
    let mut text = format!(
        "1. DNS. The backend's pod must query the engine, and only the engine:\n\
         dnsPolicy: None\n\
         dnsConfig: {{nameservers: [\"{dns}\"], searches: [{namespace}.svc.cluster.local, svc.cluster.local, cluster.local]}}\n\
         2. Trust. {trust}\n\
         3. Settings.\n"
    );
    let its = found.and_then(|found| SERVERS.iter().find(|server| server.software == found));
    match (its, found.and_then(page)) {
        (Some(server), _) => text.push_str(&server.describe(authentication, domains)),
        (None, Some(page)) => {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "See docs/backends/{page}.");
        }
        (None, None) => {
            for server in &SERVERS {
                let _ = writeln!(text, "{}", server.describe(authentication, domains));
            }
            text.push_str("Other servers: docs/backends.\n");
        }
    }
    if text.len() > MAX {
        let end = text.floor_char_boundary(MAX);
        text.truncate(end);
    }
    text
}

/// How to connect a component (XEP-0114).
pub fn component(
    name: &str,
    namespace: &str,
    secret: &SecretKey,
    replicas: u16,
    domains: &[&Domain],
) -> String {
    let host = format!("{}.{namespace}.svc", names::backend_service(name));
    let SecretKey { name: secret, key } = secret;
    let mut text = format!(
        "Configure the component (XEP-0114), under the names that its documentation uses:\n\
         server: {host}\n\
         port: {}\n\
         secret: key {key} of Secret {secret}\n\
         domain or JID, one of:\n",
        ports::COMPONENT
    );
    for domain in domains.iter().take(MAX_HOSTS) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {domain}");
    }
    text.push_str(
        "One connection serves all of them, unless another connection has authenticated as one.\n",
    );
    if replicas > 1 {
        let _ = writeln!(
            text,
            "Each of the {replicas} engine pods needs a connection. Run one instance of the component for each pod: an instance that reaches a pod with another one is refused with conflict, and must connect again. Or set spec.replicas to 1."
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_every_object_and_address_and_fits_the_status() {
        let domain: Domain = "example.com".parse().unwrap();
        let dns = Some("10.96.0.7".parse().unwrap());
        let minted = BackendAuthentication::Minted;
        let backend = |authentication, dns, domains: &[&Domain]| {
            backend(("example", "im"), authentication, dns, domains, "example-backend-tls", None)
        };
        let text = backend(minted, dns, &[&domain]);
        for part in [
            "nameservers: [\"10.96.0.7\"]",
            "ConfigMap example-backend-ca",
            "Secret example-backend-tls",
            "VirtualHost \"example.com\"",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(backend(minted, None, &[]).contains("Service example-backend"));
        let dialback = backend(BackendAuthentication::Dialback, dns, &[&domain]);
        assert!(dialback.contains("s2s_secure_auth = false"), "{dialback}");
        assert!(!dialback.contains("cafile"), "{dialback}");
        let long: Domain = format!("{}.example.com", "a".repeat(60)).parse().unwrap();
        let many = vec![&long; 1000];
        assert!(backend(minted, dns, &many).len() <= MAX);
    }

    #[test]
    fn a_component_is_told_where_to_connect_with_which_secret_as_which_domain() {
        let domain: Domain = "bot.example.com".parse().unwrap();
        let secret = SecretKey { name: "bot".to_owned(), key: "secret".to_owned() };
        let text = component("example", "im", &secret, 1, &[&domain]);
        for part in
            ["example-backend.im.svc", "5347", "key secret of Secret bot", "bot.example.com"]
        {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("replicas"), "{text}");
        assert!(component("example", "im", &secret, 2, &[]).contains("spec.replicas to 1"));
    }

    #[test]
    fn the_text_has_the_settings_of_every_server_that_supports_the_authentication() {
        let domain: Domain = "example.com".parse().unwrap();
        for authentication in [
            BackendAuthentication::Minted,
            BackendAuthentication::Dialback,
            BackendAuthentication::PlainDialback,
        ] {
            let tls = "example-backend-tls";
            let text =
                |found| backend(("example", "im"), authentication, None, &[&domain], tls, found);
            let settings = |server: &Server| {
                server.settings(authentication).unwrap_or("does not authenticate")
            };
            for server in &SERVERS {
                for found in [None, Some(ServerSoftware::Other)] {
                    let text = text(found);
                    assert!(text.contains(settings(server)), "{} is not in:\n{text}", server.name);
                }
                let text = text(Some(server.software));
                assert!(text.contains(settings(server)), "{} is not in:\n{text}", server.name);
                let others = SERVERS.iter().filter(|other| other.software != server.software);
                for other in others {
                    assert!(!text.contains(other.file), "{} is in:\n{text}", other.file);
                }
            }
            let elsewhere = text(Some(ServerSoftware::Openfire));
            assert!(elsewhere.contains("docs/backends/openfire.md"), "{elsewhere}");
            assert!(!elsewhere.contains("prosody.cfg.lua"), "{elsewhere}");
        }
    }
}
