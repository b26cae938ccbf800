//! Prosody, 0.12 and 13.

use super::cell::{Demand, Encryption};
use super::launch::{Launch, Program};
use super::login::{PASSWORD, USER};
use super::site::{CLIENTS, SERVERS, SERVERS_TLS, Site};
use crate::loopback::PEER;

/// Its settings, account and command.
pub fn launch(site: &Site) -> Launch {
    let account = format!("{}/accounts/{USER}.dat", PEER.replace('.', "%2e"));
    let file = |name: &str, content: String| (name.to_owned(), content);
    let listens = if site.settings.encryption == Encryption::Off {
        vec![site.at(SERVERS), site.at(CLIENTS)]
    } else {
        vec![site.at(SERVERS), site.at(SERVERS_TLS), site.at(CLIENTS)]
    };
    Launch {
        files: vec![
            file("prosody.cfg.lua", config(site)),
            file("ca.crt", site.authority.clone()),
            file("peer.crt", site.identity.certificate.clone()),
            file("peer.key", site.identity.key.clone()),
            file(&account, format!("return {{ password = \"{PASSWORD}\" }};\n")),
        ],
        programs: vec![Program {
            name: "prosody",
            command: ["/usr/bin/lua5.4", "/usr/bin/prosody", "-F", "--config"]
                .into_iter()
                .chain(["/run/prosody.cfg.lua"])
                .map(str::to_owned)
                .collect(),
            environment: Vec::new(),
            listens,
            says: None,
        }],
    }
}

/// libunbound asks our name server only, and forgets its rule against asking loopback.
fn config(site: &Site) -> String {
    let Site { address, dns, settings, .. } = site;
    let encrypted = settings.encryption != Encryption::Off;
    let direct = if encrypted { SERVERS_TLS.to_string() } else { String::new() };
    let tls = if encrypted { "\"tls\";" } else { "" };
    let dialback = if settings.demand == Demand::Certificate { "" } else { "\"dialback\";" };
    let required = settings.encryption == Encryption::Required;
    let secure = settings.demand == Demand::Certificate;
    format!(
        r#"run_as_root = true -- root of its own user namespace only
data_path = "/run"
pidfile = "/run/prosody.pid"
log = {{ info = "*console" }}
interfaces = {{ "{address}" }}
c2s_ports = {{ {CLIENTS} }}
s2s_ports = {{ {SERVERS} }}
s2s_direct_tls_ports = {{ {direct} }}
certificates = "/run"
unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{dns}" }};
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
authentication = "internal_plain"
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
modules_enabled = {{ "saslauth"; "roster"; "presence"; "message"; "iq"; "s2s"; "c2s"; {tls} {dialback} }}
s2s_require_encryption = {required}
s2s_secure_auth = {secure}
ssl = {{ certificate = "/run/peer.crt"; key = "/run/peer.key" }}
s2s_ssl = {{ cafile = "/run/ca.crt"; capath = "/nonexistent" }}
s2s_direct_tls_ssl = {{ cafile = "/run/ca.crt"; capath = "/nonexistent"; certificate = "/run/peer.crt"; key = "/run/peer.key" }}
VirtualHost "{PEER}"
"#
    )
}
