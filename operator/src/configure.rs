//! What to set at a backend, in words and in the words of its configuration file.

use std::net::IpAddr;

use crds::domain::Domain;

use crate::build::names;

/// Longest text in the status.
const MAX: usize = 4096;

/// Three steps, with Prosody as the example. (No `dane`: libunbound then wants DNSSEC proofs that a split horizon cannot
/// give.)
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
    let hosts: Vec<String> =
        domains.iter().map(|domain| format!("VirtualHost \"{domain}\"")).collect();
    let hosts = hosts.join("\n");
    let mut text = format!(
        "1. DNS: let the backend's pod use the engine's DNS server:\n\
         dnsPolicy: None\n\
         dnsConfig: {{nameservers: [\"{dns}\"], searches: [{namespace}.svc.cluster.local, svc.cluster.local, cluster.local]}}\n\
         2. Trust: mount key ca.crt of ConfigMap {ca}, and Secret {tls} where the backend has no certificate for server-to-server streams.\n\
         3. Prosody, for example:\n\
         modules_enabled = {{ \"s2s\"; \"tls\"; \"saslauth\"; \"dialback\"; ... }}\n\
         s2s_require_encryption = true\n\
         s2s_secure_auth = true\n\
         ssl = {{ cafile = \"/etc/xmpp-federation-ca/ca.crt\"; certificate = \"/etc/xmpp-federation-tls/tls.crt\"; key = \"/etc/xmpp-federation-tls/tls.key\" }}\n\
         {hosts}"
    );
    if text.len() > MAX {
        let end = text.floor_char_boundary(MAX);
        text.truncate(end);
    }
    text
}
