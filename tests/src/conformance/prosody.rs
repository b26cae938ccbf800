//! Prosody as a target, on the files of a root file system and without root.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::outside::{Outside, names};
use super::target::Target;
use crate::loopback::{LOCAL, LoopbackError, PEER};
use crate::peer::authority::Authority;
use crate::peer::dialback::Secret;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 4);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
const TRAP: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 2);
/// Any port will do for a name server that only Prosody asks.
const DNS: u16 = 5353;
const SECRET: &str = "the dialback secret of Prosody";
/// Between two tries to connect to a server that is starting; it has no other way to say that it is there.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it may take to start.
const START: Duration = Duration::from_secs(15);

/// A running Prosody, ended when dropped.
#[derive(Debug)]
pub struct Prosody {
    process: Child,
    /// Prosody, seen from outside.
    pub target: Target,
    _directory: TempDir,
}

impl Prosody {
    /// Starts it on the files of `root`.
    pub fn start(root: &Path, patience: Duration) -> Result<Self, LoopbackError> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("Conformance CA")?;
        let outside = Outside::start(PEER, OUTSIDE, TRAP, Some((OUTSIDE, DNS).into()))?;
        let identity = authority.issue(&[LOCAL])?;
        for (name, content) in [
            ("prosody.cfg.lua", config(patience)),
            ("ca.crt", authority.certificate_pem()),
            ("local.crt", identity.certificate_pem().to_owned()),
            ("local.key", identity.key_pem().to_owned()),
        ] {
            fs::write(directory.path().join(name), content)?;
        }
        let process = spawn(root, directory.path())?;
        let target = Target {
            address: (ADDRESS, 5269).into(),
            direct_tls: Some((ADDRESS, 5270).into()),
            domain: LOCAL.to_owned(),
            second_domain: None,
            peer: PEER.to_owned(),
            authority,
            secret: Some(Secret::new(SECRET)),
            outside: Some(outside),
            inside: None,
            strict: Some(format!("{}.{PEER}", names::STRICT)),
            closes_idle: false,
            process: Some(process.id()),
            patience,
        };
        let mut prosody = Self { process, target, _directory: directory };
        prosody.wait_until_ready()?;
        Ok(prosody)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let (begun, address) = (Instant::now(), SocketAddr::from((ADDRESS, 5269)));
        while let Err(error) = TcpStream::connect_timeout(&address, START) {
            if self.process.try_wait()?.is_some() || begun.elapsed() > START {
                return Err(io::Error::other(format!("Prosody did not start: {error}")));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a user and mount namespace of its own, so that the root file system is not changed.
fn spawn(root: &Path, directory: &Path) -> io::Result<Child> {
    let log = File::create(directory.join("prosody.log"))?;
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-euc"])
        .arg(
            "mount --bind \"$2\" \"$1/run/prosody\"
             mount --rbind /dev \"$1/dev\"
             exec chroot \"$1\" /usr/bin/lua5.4 /usr/bin/prosody -F --config /run/prosody/prosody.cfg.lua",
        )
        .args([Path::new("sh"), root, directory])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log)
        .spawn()
}

/// As most federate: TLS required, certificates where they are good, dialback otherwise; and one domain by certificate
/// only. Its own time-outs are shorter than the suite's patience, so that they end what hangs.
fn config(patience: Duration) -> String {
    let (home, limit) = ("/run/prosody", patience.as_secs().saturating_sub(2).max(1));
    let strict = format!("{}.{PEER}", names::STRICT);
    format!(
        r#"run_as_root = true -- root of its own user namespace only
data_path = "{home}"
pidfile = "{home}/prosody.pid"
log = {{ debug = "*console" }}
interfaces = {{ "{ADDRESS}" }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
certificates = "{home}"
modules_enabled = {{ "saslauth", "tls", "dialback", "disco", "ping", "s2s_bidi" }}
s2s_require_encryption = true
s2s_secure_auth = false
s2s_secure_domains = {{ "{strict}" }}
s2s_timeout = {limit}
s2s_close_timeout = {limit}
dialback_secret = "{SECRET}"
s2s_ssl = {{ cafile = "{home}/ca.crt"; capath = "/nonexistent" }}
unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{OUTSIDE}@{DNS}" }};
            options = {{ ["do-not-query-localhost:"] = "no" }} }}
VirtualHost "{LOCAL}"
  ssl = {{ certificate = "{home}/local.crt", key = "{home}/local.key" }}
"#
    )
}
