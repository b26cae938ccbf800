//! What to set at a backend, in words and in the words of its configuration file.

use std::net::IpAddr;

use crds::domain::Domain;

use crate::build::names;

/// Hosts that the example shows; the others are written alike.
const MAX_HOSTS: usize = 8;
/// Longest text in the status.
const MAX: usize = 4096;

/// Three steps, with Prosody as the example.
pub fn backend(
    name: &str,
    namespace: &str,
    dns_server: Option<IpAddr>,
    domains: &[&Domain],
) -> String {
    let ca = names::backend_ca(name);
    let tls = names::backend_tls(name);
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
    let mut text = format!(
        "1. DNS. The backend's pod asks the engine, and only the engine:\n\
         dnsPolicy: None\n\
         dnsConfig: {{nameservers: [\"{dns}\"], searches: [{namespace}.svc.cluster.local, svc.cluster.local, cluster.local]}}\n\
         2. Trust. Mount key ca.crt of ConfigMap {ca}, and, where the backend has no certificate of its own for server-to-server streams, Secret {tls}.\n\
         3. Settings. For Prosody, with the ConfigMap at /etc/prosody-ca and the Secret at /etc/prosody-tls:\n\
         s2s_ssl = {{ cafile = \"/etc/prosody-ca/ca.crt\" }}\n\
         s2s_require_encryption = true\n\
         s2s_secure_auth = true\n\
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
        let text = backend("example", "im", dns, &[&domain]);
        for part in [
            "nameservers: [\"10.96.0.7\"]",
            "ConfigMap example-backend-ca",
            "Secret example-backend-tls",
            "VirtualHost \"example.com\"",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(backend("example", "im", None, &[]).contains("Service example-backend"));
        let many = vec![&domain; 1000];
        assert!(backend("example", "im", dns, &many).len() <= MAX);
    }
}
