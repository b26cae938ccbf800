//! Prosody as a target, on the files of a root file system. It needs no root.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use harness::claim::Network;
use harness::launch::prosody::{SETTINGS, housing, program, resolver};
use harness::launch::{Launch, Running};
use harness::loopback::{LOCAL, LoopbackError, PEER};
use s2s_peer::authority::Authority;
use s2s_peer::dialback::Secret;
use tempfile::TempDir;

use super::outside::{Outside, names};
use super::target::Target;

/// A name server that only Prosody queries may use any port.
const DNS: u16 = 5353;
const SECRET: &str = "the dialback secret of Prosody";
/// A running Prosody, stopped when dropped.
#[derive(Debug)]
pub struct Prosody {
    _running: Running,
    /// Prosody as the outside sees it.
    pub target: Target,
    _directory: TempDir,
}

impl Prosody {
    /// Starts Prosody on the files of `root`.
    pub fn start(root: &Path, timeout: Duration) -> Result<Self, LoopbackError> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("Conformance CA")?;
        let network = Network::claim()?;
        let [us, trap, address] = [1, 2, 4].map(|host| network.host(host));
        let resolver = SocketAddr::from((us, DNS));
        let outside = Outside::start(PEER, us, trap, Some(resolver))?;
        let identity = authority.issue(&[LOCAL])?;
        let file = |name: &str, content: String| (name.to_owned(), content);
        let (servers, servers_tls) = ((address, 5269).into(), (address, 5270).into());
        let launch = Launch {
            files: vec![
                file(SETTINGS, config(address, resolver, timeout)),
                file("ca.crt", authority.certificate_pem()),
                file("local.crt", identity.certificate_pem().to_owned()),
                file("local.key", identity.key_pem().to_owned()),
            ],
            programs: vec![program(vec![servers, servers_tls])],
        };
        let running = launch.start(root, directory.path())?;
        let target = Target {
            address: servers,
            direct_tls: Some(servers_tls),
            domain: LOCAL.to_owned(),
            second_domain: None,
            peer: PEER.to_owned(),
            authority,
            secret: Some(Secret::new(SECRET)),
            outside: Some(outside),
            inside: None,
            strict: Some(format!("{}.{PEER}", names::STRICT)),
            closes_idle: false,
            process: running.pid(),
            timeout,
        };
        Ok(Self { _running: running, target, _directory: directory })
    }
}

/// The usual federation setup: TLS required, authentication by valid certificates, and by dialback otherwise. One
/// domain is authenticated by certificate only. Its own timeouts are shorter than the suite's timeout, so that they end
/// stalled streams.
fn config(address: Ipv4Addr, dns: SocketAddr, timeout: Duration) -> String {
    let limit = timeout.as_secs().saturating_sub(2).max(1);
    let (housing, resolver) = (housing(address.into(), "debug"), resolver(dns));
    let strict = format!("{}.{PEER}", names::STRICT);
    format!(
        r#"{housing}{resolver}s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
modules_enabled = {{ "saslauth", "tls", "dialback", "disco", "ping", "s2s_bidi" }}
s2s_require_encryption = true
s2s_secure_auth = false
s2s_secure_domains = {{ "{strict}" }}
s2s_timeout = {limit}
s2s_close_timeout = {limit}
dialback_secret = "{SECRET}"
s2s_ssl = {{ cafile = "/run/ca.crt"; capath = "/nonexistent" }}
VirtualHost "{LOCAL}"
  ssl = {{ certificate = "/run/local.crt", key = "/run/local.key" }}
"#
    )
}
