//! The resolvers of real servers and systems as clients of the engine's DNS server: libunbound, Erlang's `inet_res`, libc,
//! udns and systemd-resolved. Each is led to the engine for remote domains, and gets the answers of the ordinary resolvers
//! for everything else.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::engine::Engine;
use harness::evidence;
use harness::loopback::{DEADLINE, Ground, LOCAL};
use harness::metrics::Metrics;
use lab::debian::Debian;
use lab::parts::Part;
use lab::paths::Paths;
use s2s_peer::nameserver::{Nameserver, Zone};
use serde::Deserialize;
use serde_json::json;

use super::cell::{Cell, Certificate, Demand, Encryption, Settings, Way};
use super::certificate::Issuer;
use super::error::{InteropError, Result};
use super::matrix::site;
use super::release::Release;
use super::site::{Addresses, DNS, SERVERS, Site};

/// Certificates where the server can use them.
const SETTINGS: Settings = Settings {
    encryption: Encryption::Required,
    demand: Demand::Certificate,
    certificate: Certificate::Good,
};
const CELL: Cell = Cell { name: "resolvers", ours: SETTINGS, theirs: SETTINGS, way: Way::Ordinary };
/// Addresses that no cell of the matrix uses.
const NUMBER: u8 = 70;
/// The name server of the world, which the engine queries for everything else.
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(127, 0, NUMBER, 54);
/// A name of the world and its address.
pub const ELSEWHERE: (&str, Ipv4Addr) = ("upload.elsewhere.example", Ipv4Addr::new(198, 18, 7, 7));
/// The name of the engine for backends.
pub const ENGINE_NAME: &str = "xfed-engine.xmpp.local.example";
/// Interval of the checks.
const PAUSE: Duration = Duration::from_millis(100);

/// The library with which a process resolves names.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Library {
    /// Of the Unbound project; Prosody uses it through lua-unbound.
    Unbound,
    /// Of Michael Tokarev; jabberd2 uses it.
    Udns,
}

impl Library {
    const ALL: [(Self, &'static str); 2] =
        [(Self::Unbound, "libunbound.so"), (Self::Udns, "libudns.so")];
}

/// The engine with its DNS server at port 53, and the machine's resolver configuration that leads there.
pub struct Scene {
    ground: Ground,
    engine: Engine,
    control: SocketAddr,
    _upstream: Nameserver,
}

impl Scene {
    /// Where the engine's DNS server listens.
    pub const DNS: Ipv4Addr = Ipv4Addr::new(127, 0, NUMBER, 53);

    /// The port of the engine for backends, to which the SRV records lead.
    pub fn port(&self) -> u16 {
        self.ground.inner.port()
    }

    /// The address of the engine for backends.
    pub fn address(&self) -> IpAddr {
        self.ground.inner.ip()
    }

    /// Directory for the files of a client.
    pub fn home(&self, name: &str) -> Result<std::path::PathBuf> {
        let home = self.ground.path(name);
        fs::create_dir_all(&home).map_err(InteropError::io("making", &home))?;
        Ok(home)
    }

    /// Queries with that result so far.
    pub fn queries(&self, result: &str) -> Result<u64> {
        let counts =
            Metrics::of(self.ground.admin).map_err(InteropError::io("reading", "/metrics"))?;
        Ok(counts.sum("dns_queries_total", &[("result", result)]))
    }

    /// Starts the engine alone. Its backend is at that address.
    pub fn start(engine: &Path, backend: SocketAddr, authentication: &str) -> Result<Self> {
        Self::start_with(engine, Ground::new()?, backend, authentication)
    }

    fn start_with(
        engine: &Path,
        ground: Ground,
        backend: SocketAddr,
        authentication: &str,
    ) -> Result<Self> {
        let (name, address) = ELSEWHERE;
        let zone = Zone::default().address(name, address)?;
        let upstream = Nameserver::start((UPSTREAM, DNS).into(), zone)?;
        // The engine is the resolver of this machine, so it forwards to `resolvers`.
        let file = ground.path("resolv.conf");
        ground.write("resolv.conf", &format!("nameserver {}\n", Self::DNS))?;
        mount(&["--bind", &file.display().to_string(), "/etc/resolv.conf"])?;
        let mut config = ground.config(backend, upstream.address());
        let control = evidence::serve(&ground, &mut config)?;
        if let Some(listen) = config.get_mut("listen").and_then(serde_json::Value::as_object_mut) {
            listen.insert("dns".to_owned(), json!(SocketAddr::from((Self::DNS, DNS)).to_string()));
        }
        if let Some(setting) = config.pointer_mut("/backends/0/server/authentication") {
            *setting = json!(authentication);
        }
        if let Some(config) = config.as_object_mut() {
            let split = json!({
                "address": ground.inner.ip().to_string(),
                "port": ground.inner.port(),
                "clients": ["127.0.0.0/8"],
            });
            config.insert("splitHorizon".to_owned(), split);
        }
        let engine = Engine::start(engine, ground.directory(), &config, ground.admin)?;
        Ok(Self { ground, engine, control, _upstream: upstream })
    }
}

/// Mounts in the namespace of this test.
fn mount(arguments: &[&str]) -> Result<()> {
    run("mount", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status();
    match status.map_err(InteropError::io("running", program))? {
        status if status.success() => Ok(()),
        status => Err(InteropError::Evidence(format!("{program} {arguments:?}: {status}"))),
    }
}

#[derive(Debug, Deserialize)]
struct Evidence {
    #[serde(default)]
    backends: Vec<Trip>,
}

#[derive(Debug, Deserialize)]
struct Trip {
    outcome: String,
    detail: String,
}

/// What a real server showed as backend.
#[derive(Debug)]
pub struct Shown {
    /// The resolver libraries that its processes have loaded.
    pub libraries: BTreeSet<Library>,
    /// SRV queries that the engine answered itself.
    pub answered: u64,
}

/// Runs a real server as backend that finds the engine by DNS alone, until the engine's ping has made its round trip.
pub fn of_a_backend(release: Release, engine: &Path) -> Result<Shown> {
    // Process IDs of this test's own namespace.
    mount(&["-t", "proc", "proc", "/proc"])?;
    let addresses = Addresses { dns: Scene::DNS, ..Addresses::of(NUMBER, CELL.way) };
    let issuer = Issuer::new()?;
    let ground = Ground::new()?;
    ground.write("backend-ca.crt", &issuer.pem())?;
    ground.write("backend-ca.key", &issuer.key_pem())?;
    let peer = site(release, &CELL, &addresses, &ground, &issuer)?;
    let identity = issuer.issue(Certificate::Good, LOCAL)?;
    let site =
        Site { domain: LOCAL.to_owned(), address: addresses.backend.into(), identity, ..peer };
    let authentication = match site.settings.demand {
        Demand::Certificate => "Minted",
        Demand::CertificateOrDialback | Demand::Dialback => "Dialback",
    };
    let scene = Scene::start_with(engine, ground, site.at(SERVERS), authentication)?;
    let theirs = release.launch(&site)?.start(&site.root, &site.home)?;
    let roots = scene.ground.authority.roots()?;
    let begun = Instant::now();
    loop {
        let seen: Evidence = evidence::of_all(scene.control, &roots)?;
        if seen.backends.iter().any(|trip| trip.outcome == "RoundTripSeen") {
            break;
        }
        if begun.elapsed() > DEADLINE {
            let what =
                seen.backends.iter().map(|trip| format!("{}: {}", trip.outcome, trip.detail));
            let log = format!("{}\n--- the engine\n{}", theirs.log(), scene.engine.log());
            return Err(InteropError::Server { what: what.collect::<Vec<_>>().join("; "), log });
        }
        thread::sleep(PAUSE);
    }
    Ok(Shown { libraries: libraries()?, answered: scene.queries("Answered")? })
}

/// The resolver libraries of all processes of this namespace.
fn libraries() -> Result<BTreeSet<Library>> {
    let processes = fs::read_dir("/proc").map_err(InteropError::io("listing", "/proc"))?;
    let mut found = BTreeSet::new();
    for process in processes.filter_map(io::Result::ok) {
        // It is no process, or it has ended meanwhile.
        let Ok(maps) = fs::read_to_string(process.path().join("maps")) else { continue };
        let loaded = Library::ALL.iter().filter(|(_, file)| maps.contains(file));
        found.extend(loaded.map(|(library, _)| *library));
    }
    Ok(found)
}

/// The output of a program in the root file system of a server. Its directory is mounted as `/run`.
pub fn output(
    software: Debian,
    home: &Path,
    command: &[&str],
    environment: &[(&str, &str)],
) -> Result<String> {
    let root = Part::Server(software).file(&Paths::from_env()?, "rootfs")?;
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-euc"])
        .arg("mount --bind \"$2\" \"$1/run\"; mount --rbind /dev \"$1/dev\"; root=$1; shift 2; exec chroot \"$root\" \"$@\"")
        .args([Path::new("sh"), &root, home])
        .args(command)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(environment.iter().copied())
        .output()
        .map_err(InteropError::io("starting", "unshare, of Debian's util-linux"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(InteropError::Server {
        what: format!("{command:?}: {}", output.status),
        log: format!("{}{}", text(&output.stdout), text(&output.stderr)),
    })
}

/// systemd-resolved without systemd. It queries only the engine, and listens where it does on every machine.
#[derive(Debug)]
pub struct Resolved(Child);

impl Resolved {
    /// Its address.
    pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), DNS);

    /// Starts it. Its usual user is the root of this test's user namespace, whose ports it may use.
    pub fn start(scene: &Scene) -> Result<Self> {
        // It queries nobody before the machine has an interface with an address of its own.
        run("ip", &["link", "add", "resolved0", "type", "veth", "peer", "name", "resolved1"])?;
        run("ip", &["address", "add", "198.18.9.1/24", "dev", "resolved0"])?;
        for interface in ["resolved0", "resolved1"] {
            run("ip", &["link", "set", interface, "up"])?;
        }
        let home = scene.home("resolved")?;
        let user = "systemd-resolve:x:0:0::/run:/\n";
        let settings = format!(
            "[Resolve]\nDNS={}\nFallbackDNS=\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\n",
            Scene::DNS
        );
        let files = [
            ("passwd", format!("root:x:0:0::/run:/\n{user}")),
            ("group", "root:x:0:\nsystemd-resolve:x:0:\n".to_owned()),
            ("resolved.conf", settings),
            ("systemd/.keep", String::new()),
        ];
        for (name, content) in files {
            let file = home.join(name);
            let directory = file.parent().unwrap_or(&home);
            fs::create_dir_all(directory).map_err(InteropError::io("making", directory))?;
            fs::write(&file, content).map_err(InteropError::io("writing", &file))?;
        }
        let root = Part::Server(Debian::Resolved12).file(&Paths::from_env()?, "rootfs")?;
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-euc"])
            .arg(
                "mount --bind \"$2\" \"$1/run\"
                 mount --rbind /dev \"$1/dev\"
                 mount --rbind /proc \"$1/proc\"
                 for file in passwd group systemd/resolved.conf; do
                     mount --bind \"$2/${file##*/}\" \"$1/etc/$file\"
                 done
                 exec chroot \"$1\" /lib/systemd/systemd-resolved",
            )
            .args([Path::new("sh"), &root, &home])
            .stdin(Stdio::null())
            .spawn()
            .map_err(InteropError::io("starting", "systemd-resolved"))?;
        Ok(Self(child))
    }
}

impl Drop for Resolved {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
