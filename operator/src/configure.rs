//! Instructions for configuring a backend: text, and lines of a configuration file.

use std::net::IpAddr;

use crds::backend::BackendAuthentication;
use crds::domain::Domain;

use crate::federation::names;

/// Hosts that the example shows; the others have the same form.
const MAX_HOSTS: usize = 8;
/// Longest text in the status.
const MAX: usize = 4096;

/// Three steps, with Prosody as the example. `tls`: the Secret with the backend's certificate.
pub fn backend(
    name: &str,
    namespace: &str,
    authentication: BackendAuthentication,
    dns_server: Option<IpAddr>,
    domains: &[&Domain],
    tls: &str,
) -> String {
    let ca = names::backend_ca(name);
    let dns = dns_server.map_or_else(
        || "<the ClusterIP of Service ".to_owned() + &names::backend_service(name) + ">",
        |ip| ip.to_string(),
    );
    let hosts: Vec<String> = domains
        .iter()
        .take(MAX_HOSTS)
        .map(|domain| {
            format!(
                "VirtualHost \"{domain}\"\n  ssl = {{ certificate = \"/etc/prosody-tls/tls.crt\", key = \"/etc/prosody-tls/tls.key\" }}"
            )
        })
        .collect();
    let hosts = hosts.join("\n");
    let (trust, settings) = match authentication {
        BackendAuthentication::Minted => (
            format!("Mount key ca.crt of ConfigMap {ca}. If the backend has no certificate of its own for server-to-server streams, mount Secret {tls} as well."),
            "s2s_ssl = { cafile = \"/etc/prosody-ca/ca.crt\" }\ns2s_require_encryption = true\ns2s_secure_auth = true",
        ),
        BackendAuthentication::Dialback => (
            format!("No CA to mount: the backend uses dialback instead of verifying certificates. If it has no certificate of its own for server-to-server streams, mount Secret {tls}."),
            "s2s_require_encryption = true\ns2s_secure_auth = false",
        ),
        BackendAuthentication::PlainDialback => (
            "Nothing to mount: there is no TLS between engine and backend, and the backend uses dialback.".to_owned(),
            "s2s_require_encryption = false\ns2s_secure_auth = false",
        ),
    };
    let mut text = format!(
        "1. DNS. The backend's pod must query the engine, and only the engine:\n\
         dnsPolicy: None\n\
         dnsConfig: {{nameservers: [\"{dns}\"], searches: [{namespace}.svc.cluster.local, svc.cluster.local, cluster.local]}}\n\
         2. Trust. {trust}\n\
         3. Settings. For Prosody, with the ConfigMap at /etc/prosody-ca and the Secret at /etc/prosody-tls:\n\
         {settings}\n\
         {hosts}\n"
    );
    if text.len() > MAX {
        let end = text.floor_char_boundary(MAX);
        text.truncate(end);
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
            backend("example", "im", authentication, dns, domains, "example-backend-tls")
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
        let many = vec![&domain; 1000];
        assert!(backend(minted, dns, &many).len() <= MAX);
    }
}
