//! The program of ejabberd, 23.01 and 24.12.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::Program;
use super::error::{LaunchError, Result};

/// The path of its settings, below its directory.
pub const SETTINGS: &str = "ejabberd.yml";
const ERLANG: &str = "/usr/lib/erlang";

/// The program, and the addresses on which it listens. It starts Erlang itself, because the usual script needs a shell
/// and a daemon for node names.
pub fn program(root: &Path, listens: Vec<SocketAddr>) -> Result<Program> {
    let runtime = runtime(root)?;
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
    Ok(Program {
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
            ("EJABBERD_CONFIG_PATH", format!("/run/{SETTINGS}")),
        ],
        listens,
        says: Some(("ejabberd.log", "is started in the node")),
    })
}

/// The files that configure its name resolution: it queries only that name server, at port 53.
pub fn resolver(address: Ipv4Addr) -> [(String, String); 3] {
    let [a, b, c, d] = address.octets();
    let inetrc = format!(
        "{{lookup,[file,dns]}}.\n{{nameserver,{{{a},{b},{c},{d}}}}}.\n{{file,resolv,\"/run/resolv.conf\"}}.\n"
    );
    [
        ("inetrc".to_owned(), inetrc),
        ("resolv.conf".to_owned(), format!("nameserver {address}\n")),
        ("hosts".to_owned(), "127.0.0.1 localhost\n".to_owned()),
    ]
}

/// The directory of the runtime's programs; its name contains Erlang's version.
fn runtime(root: &Path) -> Result<String> {
    let erlang = root.join(ERLANG.trim_start_matches('/'));
    fs::read_dir(&erlang)
        .map_err(LaunchError::io("listing", &erlang))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("erts-"))
        .map(|name| format!("{ERLANG}/{name}/bin"))
        .ok_or_else(|| LaunchError::Server {
            what: format!("there is no erts-* in {}", erlang.display()),
            log: String::new(),
        })
}
