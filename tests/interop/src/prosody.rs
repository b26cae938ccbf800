//! Prosody, 0.12 and 13.

use harness::launch::Launch;
use harness::launch::prosody::{SETTINGS, account, housing, program, resolver};

use super::cell::{Demand, Encryption};
use super::login::{PASSWORD, USER};
use super::site::{CLIENTS, DNS, SERVERS, SERVERS_TLS, Site};

/// Its settings, account and command.
pub(crate) fn launch(site: &Site) -> Launch {
    let file = |name: &str, content: String| (name.to_owned(), content);
    let listens = if site.settings.encryption == Encryption::Off {
        vec![site.at(SERVERS), site.at(CLIENTS)]
    } else {
        vec![site.at(SERVERS), site.at(SERVERS_TLS), site.at(CLIENTS)]
    };
    Launch {
        files: vec![
            file(SETTINGS, config(site)),
            file("ca.crt", site.authority.clone()),
            file("peer.crt", site.identity.certificate.clone()),
            file("peer.key", site.identity.key.clone()),
            account(USER, &site.domain, PASSWORD),
        ],
        programs: vec![program(listens)],
    }
}

fn config(site: &Site) -> String {
    let Site { domain, address, dns, settings, .. } = site;
    let (housing, resolver) = (housing(*address, "info"), resolver((*dns, DNS).into()));
    let encrypted = settings.encryption != Encryption::Off;
    let direct = if encrypted { SERVERS_TLS.to_string() } else { String::new() };
    let tls = if encrypted { "\"tls\";" } else { "" };
    let dialback = if settings.demand == Demand::Certificate { "" } else { "\"dialback\";" };
    let extended = if site.extended { "\"s2s_bidi\"; \"smacks\";" } else { "" };
    let required = settings.encryption == Encryption::Required;
    let secure = settings.demand == Demand::Certificate;
    format!(
        r#"{housing}{resolver}c2s_ports = {{ {CLIENTS} }}
s2s_ports = {{ {SERVERS} }}
s2s_direct_tls_ports = {{ {direct} }}
authentication = "internal_plain"
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
modules_enabled = {{ "saslauth"; "roster"; "presence"; "message"; "iq"; "s2s"; "c2s"; {tls} {dialback} {extended} }}
s2s_require_encryption = {required}
s2s_secure_auth = {secure}
ssl = {{ certificate = "/run/peer.crt"; key = "/run/peer.key" }}
s2s_ssl = {{ cafile = "/run/ca.crt"; capath = "/nonexistent" }}
s2s_direct_tls_ssl = {{ cafile = "/run/ca.crt"; capath = "/nonexistent"; certificate = "/run/peer.crt"; key = "/run/peer.key" }}
VirtualHost "{domain}"
"#
    )
}
