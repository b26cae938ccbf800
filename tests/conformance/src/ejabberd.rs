//! ejabberd as a target, on the files of a root file system. It needs no root if port 53 of loopback can be bound.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use harness::claim::Network;
use harness::launch::ejabberd::{SETTINGS, program, resolver};
use harness::launch::{Launch, Running};
use harness::loopback::{LOCAL, LoopbackError, PEER};
use s2s_peer::authority::Authority;
use tempfile::TempDir;

use super::outside::Outside;
use super::target::Target;

/// Erlang queries no other port.
const DNS: u16 = 53;
/// Validity of its certificate.
const LIFETIME: Duration = Duration::from_hours(24);

/// A running ejabberd, stopped when dropped.
#[derive(Debug)]
pub struct Ejabberd {
    _running: Running,
    /// ejabberd as the outside sees it.
    pub target: Target,
    _directory: TempDir,
}

impl Ejabberd {
    /// Starts ejabberd on the files of `root`.
    pub fn start(root: &Path, timeout: Duration) -> Result<Self, LoopbackError> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("Conformance CA")?;
        let network = Network::claim()?;
        let [us, trap, address] = [1, 2, 4].map(|host| network.host(host));
        let outside = Outside::start(PEER, us, trap, Some(SocketAddr::from((us, DNS))))?;
        // ejabberd sets a timer for the expiry of a certificate; an expiry in some thousand years crashes it.
        let identity = authority.issue_with(&[LOCAL], |params| {
            params.not_after = (SystemTime::now() + LIFETIME).into();
        })?;
        let file = |name: &str, content: String| (name.to_owned(), content);
        let (servers, servers_tls) = ((address, 5269).into(), (address, 5270).into());
        let mut files = vec![
            file(SETTINGS, config(address, timeout)),
            file("ca.pem", authority.certificate_pem()),
            file("local.pem", format!("{}{}", identity.key_pem(), identity.certificate_pem())),
        ];
        files.extend(resolver(us));
        let programs = vec![program(root, vec![servers, servers_tls])?];
        let running = Launch { files, programs }.start(root, directory.path())?;
        let target = Target {
            address: servers,
            direct_tls: Some(servers_tls),
            domain: LOCAL.to_owned(),
            second_domain: None,
            peer: PEER.to_owned(),
            authority,
            // ejabberd generates a random secret.
            secret: None,
            outside: Some(outside),
            inside: None,
            // ejabberd has no setting for each domain that requires authentication by certificate only.
            strict: None,
            closes_idle: false,
            process: running.pid(),
            timeout,
        };
        Ok(Self { _running: running, target, _directory: directory })
    }
}

/// The usual federation setup: TLS required, which here includes valid certificates, and dialback. Its own timeouts are
/// shorter than the suite's timeout, so that they end stalled streams.
fn config(address: Ipv4Addr, timeout: Duration) -> String {
    let limit = timeout.as_secs().saturating_sub(2).max(1);
    format!(
        r#"hosts: ["{LOCAL}"]
loglevel: info
ca_file: /run/ca.pem
certfiles: [/run/local.pem]
s2s_use_starttls: required
s2s_timeout: {limit}
negotiation_timeout: {limit}
listen:
  - {{port: 5269, ip: "{address}", module: ejabberd_s2s_in, max_stanza_size: 524288}}
  - {{port: 5270, ip: "{address}", module: ejabberd_s2s_in, max_stanza_size: 524288, tls: true}}
modules: {{mod_disco: {{}}, mod_ping: {{}}, mod_s2s_dialback: {{}}}}
"#
    )
}
