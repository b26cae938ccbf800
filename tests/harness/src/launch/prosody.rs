//! The program of Prosody, 0.12 and 13.

use std::net::{IpAddr, SocketAddr};

use super::Program;

/// The path of its settings, below its directory.
pub const SETTINGS: &str = "prosody.cfg.lua";

/// The program, and the addresses on which it listens.
pub fn program(listens: Vec<SocketAddr>) -> Program {
    let config = format!("/run/{SETTINGS}");
    let command = ["/usr/bin/lua5.4", "/usr/bin/prosody", "-F", "--config", &config];
    Program {
        name: "prosody",
        command: command.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        listens,
        says: None,
    }
}

/// Settings that every Prosody of the tests shares. It is root only in its own user namespace, writes all its files
/// below `/run`, and listens on that address.
pub fn housing(address: IpAddr, level: &str) -> String {
    format!(
        r#"run_as_root = true
data_path = "/run"
pidfile = "/run/prosody.pid"
log = {{ {level} = "*console" }}
certificates = "/run"
interfaces = {{ "{address}" }}
"#
    )
}

/// The setting that makes libunbound query only that name server, and disables its rule against queries to loopback.
pub fn resolver(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        r#"unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{ip}@{port}" }};
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
"#
    )
}

/// The file of an account with that password, and the content of the file.
pub fn account(user: &str, domain: &str, password: &str) -> (String, String) {
    let file = format!("{}/accounts/{user}.dat", domain.replace('.', "%2e"));
    (file, format!("return {{ password = \"{password}\" }};\n"))
}
