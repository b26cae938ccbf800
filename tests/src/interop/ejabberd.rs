//! ejabberd, 23.01 and 24.12.

use std::fs;

use super::cell::{Demand, Encryption};
use super::error::{InteropError, Result};
use super::launch::{Launch, Program};
use super::site::{CLIENTS, SERVERS, SERVERS_TLS, Site};
use crate::loopback::PEER;

const ERLANG: &str = "/usr/lib/erlang";

/// Its settings and command: Erlang itself, because the usual script wants a shell and a daemon for names of nodes.
pub fn launch(site: &Site) -> Result<Launch> {
    let runtime = runtime(site)?;
    let file = |name: &str, content: String| (name.to_owned(), content);
    let [a, b, c, d] = site.dns.octets();
    let arguments = [
        "-noinput",
        "-noshell",
        "+S",
        "1:1",
        "+sbwt",
        "none",
        "-os_mon",
        "start_memsup",
        "false",
        "-os_mon",
        "start_disksup",
        "false",
        "-os_mon",
        "start_cpu_sup",
        "false",
        "-mnesia",
        "dir",
        "\"/run/spool\"",
        "-ejabberd",
        "log_path",
        "\"/run/ejabberd.log\"",
        "-s",
        "ejabberd",
    ];
    let command =
        std::iter::once(format!("{runtime}/erlexec")).chain(arguments.map(str::to_owned)).collect();
    let mut listens = vec![site.at(SERVERS), site.at(CLIENTS)];
    if site.settings.encryption != Encryption::Off {
        listens.push(site.at(SERVERS_TLS));
    }
    Ok(Launch {
        files: vec![
            file("ejabberd.yml", config(site)),
            file(
                "inetrc",
                format!(
                    "{{lookup,[file,dns]}}.\n{{nameserver,{{{a},{b},{c},{d}}}}}.\n{{file,resolv,\"/run/resolv.conf\"}}.\n"
                ),
            ),
            file("resolv.conf", format!("nameserver {}\n", site.dns)),
            file("hosts", "127.0.0.1 localhost\n".to_owned()),
            file("ca.pem", site.authority.clone()),
            file("peer.pem", format!("{}{}", site.identity.key, site.identity.certificate)),
        ],
        programs: vec![Program {
            name: "erlang",
            command,
            environment: vec![
                ("HOME", "/run".to_owned()),
                ("ROOTDIR", ERLANG.to_owned()),
                ("BINDIR", runtime),
                ("EMU", "beam".to_owned()),
                ("PROGNAME", "erl".to_owned()),
                ("ERL_INETRC", "/run/inetrc".to_owned()),
                ("ERL_LIBS", "/usr/lib/x86_64-linux-gnu".to_owned()),
                ("EJABBERD_CONFIG_PATH", "/run/ejabberd.yml".to_owned()),
            ],
            listens,
            says: Some(("ejabberd.log", "is started in the node")),
        }],
    })
}

/// The directory of the runtime's programs, which has Erlang's version in its name.
fn runtime(site: &Site) -> Result<String> {
    let erlang = site.root.join(ERLANG.trim_start_matches('/'));
    fs::read_dir(&erlang)
        .map_err(InteropError::io("listing", &erlang))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("erts-"))
        .map(|name| format!("{ERLANG}/{name}/bin"))
        .ok_or_else(|| InteropError::Server {
            what: format!("there is no erts-* in {}", erlang.display()),
            log: String::new(),
        })
}

fn config(site: &Site) -> String {
    let Site { address, settings, .. } = site;
    let starttls = match (settings.encryption, settings.demand) {
        (Encryption::Off, _) => "false",
        (Encryption::Required, _) => "required",
        (Encryption::Optional, _) => "optional",
    };
    let dialback = if settings.demand == Demand::Certificate { "" } else { "mod_s2s_dialback: {}" };
    let direct = if settings.encryption == Encryption::Off {
        String::new()
    } else {
        format!("- {{port: {SERVERS_TLS}, ip: \"{address}\", module: ejabberd_s2s_in, tls: true}}")
    };
    format!(
        r#"hosts: ["{PEER}"]
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
"#
    )
}
