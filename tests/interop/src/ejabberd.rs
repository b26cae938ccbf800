//! ejabberd, 23.01 and 24.12.

use harness::launch::Launch;
use harness::launch::ejabberd::{SETTINGS, program, resolver};

use super::cell::{Demand, Encryption};
use super::error::Result;
use super::site::{CLIENTS, SERVERS, SERVERS_TLS, Site};

/// Its settings and command.
pub(crate) fn launch(site: &Site) -> Result<Launch> {
    let file = |name: &str, content: String| (name.to_owned(), content);
    let mut listens = vec![site.at(SERVERS), site.at(CLIENTS)];
    if site.settings.encryption != Encryption::Off {
        listens.push(site.at(SERVERS_TLS));
    }
    let mut files = vec![
        file(SETTINGS, config(site)),
        file("ca.pem", site.authority.clone()),
        file("peer.pem", format!("{}{}", site.identity.key, site.identity.certificate)),
    ];
    files.extend(resolver(site.dns));
    Ok(Launch { files, programs: vec![program(&site.root, listens)?] })
}

fn config(site: &Site) -> String {
    let Site { domain, address, settings, .. } = site;
    let starttls = match (settings.encryption, settings.demand) {
        (Encryption::Off, _) => "false",
        (Encryption::Required, _) => "required",
        (Encryption::Optional, _) => "optional",
    };
    let dialback = if settings.demand == Demand::Certificate { "" } else { "mod_s2s_dialback: {}" };
    let extended = if site.extended { "mod_s2s_bidi: {}" } else { "" };
    let direct = if settings.encryption == Encryption::Off {
        String::new()
    } else {
        format!("- {{port: {SERVERS_TLS}, ip: \"{address}\", module: ejabberd_s2s_in, tls: true}}")
    };
    format!(
        r#"hosts: ["{domain}"]
loglevel: info
auth_method: [anonymous]
anonymous_protocol: login_anon
allow_multiple_connections: true
ca_file: /run/ca.pem
certfiles: [/run/peer.pem]
s2s_use_starttls: {starttls}
listen:
  - {{port: {SERVERS}, ip: "{address}", module: ejabberd_s2s_in}}
  - {{port: {CLIENTS}, ip: "{address}", module: ejabberd_c2s}}
  {direct}
modules:
  mod_ping: {{}}
  {dialback}
  {extended}
"#
    )
}
