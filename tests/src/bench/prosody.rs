//! Prosody under the same load: one stream in from the sending peer, one client that counts.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::engine::free_port;
use crate::peer::error::{PeerError, Result as PeerResult};
use crate::peer::namespace::{BIND, CLIENT, SASL};
use crate::peer::stream::Stream;
use crate::peer::tls;

use super::error::{BenchError, Result};
use super::load::{RECEIVER, RECIPIENT};
use super::sink::Sink;
use super::subject::{Certificates, PATIENCE, Subject};

const PASSWORD: &str = "a password on loopback";
/// Between two tries to connect to a server that is starting; it has no other way to say that it is there.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it may take to start.
const START: Duration = Duration::from_secs(15);

/// A running Prosody, ended when dropped.
#[derive(Debug)]
pub struct Prosody {
    process: Child,
    /// As a server under test.
    pub subject: Subject,
}

impl Prosody {
    /// Starts it on the files of `root`, with everything that it writes below `directory`, and logs its client in.
    pub fn start(root: &Path, directory: &Path, certificates: &Certificates) -> Result<Self> {
        let server = free_port().map_err(BenchError::io("finding a port for", "Prosody"))?;
        let client = free_port().map_err(BenchError::io("finding a port for", "Prosody"))?;
        furnish(directory, certificates, server.port(), client.port())?;
        let log = directory.join("prosody.log");
        let process = spawn(root, directory, &log)?;
        let sink = Sink::default();
        let pid = Some(process.id());
        let subject = Subject { name: "Prosody", address: server, pid, sink };
        let mut prosody = Self { process, subject };
        let stream = prosody.log_in(client, certificates, &log)?;
        prosody.subject.sink.drain(stream);
        Ok(prosody)
    }

    fn log_in(
        &mut self,
        address: SocketAddr,
        certificates: &Certificates,
        log: &Path,
    ) -> Result<Stream> {
        let begun = Instant::now();
        loop {
            let failure = match log_in(address, certificates) {
                Ok(stream) => return Ok(stream),
                Err(failure) => failure,
            };
            let ended = self.process.try_wait().map_err(BenchError::io("looking at", "Prosody"))?;
            let refused = matches!(failure, PeerError::Io { doing: "connecting by TCP", .. });
            if ended.is_some() || !refused || begun.elapsed() > START {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(BenchError::State(format!("Prosody's client: {failure}\n{said}")));
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a user and mount namespace of its own, so that neither root nor a change to the root file system is needed.
fn spawn(root: &Path, directory: &Path, log: &Path) -> Result<Child> {
    let output = File::create(log).map_err(BenchError::io("creating", log))?;
    let also = output.try_clone().map_err(BenchError::io("opening", log))?;
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
        .stdout(output)
        .stderr(also)
        .spawn()
        .map_err(BenchError::io("starting", "unshare, of Debian's util-linux"))
}

fn furnish(directory: &Path, certificates: &Certificates, server: u16, client: u16) -> Result<()> {
    let account = format!("{}/accounts/{RECIPIENT}.dat", RECEIVER.replace('.', "%2e"));
    let files = [
        ("prosody.cfg.lua", config(server, client)),
        ("ca.crt", certificates.authority.certificate_pem()),
        ("local.crt", certificates.local.certificate_pem().to_owned()),
        ("local.key", certificates.local.key_pem().to_owned()),
        (account.as_str(), format!("return {{ password = \"{PASSWORD}\" }};\n")),
    ];
    for (name, content) in files {
        let file = directory.join(name);
        let parent = file.parent().map(PathBuf::from).unwrap_or_default();
        fs::create_dir_all(&parent).map_err(BenchError::io("making", &parent))?;
        fs::write(&file, content).map_err(BenchError::io("writing", &file))?;
    }
    Ok(())
}

/// As a server that federates with certificates only. TLS on both sides, as the engine has it.
fn config(server: u16, client: u16) -> String {
    let (home, address) = ("/run/prosody", Ipv4Addr::LOCALHOST);
    format!(
        r#"run_as_root = true -- root of its own user namespace only
data_path = "{home}"
pidfile = "{home}/prosody.pid"
log = {{ warn = "*console" }}
interfaces = {{ "{address}" }}
s2s_ports = {{ {server} }}
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ {client} }}
certificates = "{home}"
c2s_direct_tls_ssl = {{ certificate = "{home}/local.crt", key = "{home}/local.key" }}
authentication = "internal_plain"
modules_enabled = {{ "saslauth", "tls", "roster" }}
s2s_require_encryption = true
s2s_secure_auth = true
s2s_ssl = {{ cafile = "{home}/ca.crt" }}
VirtualHost "{RECEIVER}"
  ssl = {{ certificate = "{home}/local.crt", key = "{home}/local.key" }}
"#
    )
}

/// RFC 6120 §6 and §7, RFC 6121 §4.2, from the client's side, over Direct TLS.
fn log_in(address: SocketAddr, certificates: &Certificates) -> PeerResult<Stream> {
    let config = tls::client(None, &certificates.authority.roots()?, false)?;
    let mut stream = Stream::connect(address, PATIENCE)?.secured_as_client(config, RECEIVER)?;
    stream.send_header_in(CLIENT, "", RECEIVER, "")?;
    stream.header()?;
    stream.features()?;
    let plain = BASE64_STANDARD.encode(format!("\0{RECIPIENT}\0{PASSWORD}"));
    stream.send(format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"))?;
    stream.expect(SASL, "success", "the answer to SASL PLAIN")?;
    stream = stream.restarted();
    stream.send_header_in(CLIENT, "", RECEIVER, "")?;
    stream.header()?;
    stream.features()?;
    stream.send(format!("<iq type='set' id='bind'><bind xmlns='{BIND}'/></iq>"))?;
    let bound = stream.expect(CLIENT, "iq", "the answer to the binding of a resource")?;
    if bound.attribute("type") != Some("result") {
        return Err(PeerError::unexpected("the binding of a resource", &bound));
    }
    // The server sends our own presence back: then it will deliver messages to us.
    stream.send("<presence/>")?;
    stream.expect(CLIENT, "presence", "our own presence")?;
    Ok(stream)
}
