//! The PROXY protocol of real proxies: `HAProxy` in both versions, and nginx, which sends only version 1. The peer is
//! scripted, the engine is the real program. Everything is on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use harness::claim::{self, Network};
use harness::evidence;
use harness::launch::{Launch, Program, Running};
use harness::loopback::{ORDINARY, World, until};
use harness::program;
use lab::debian::Debian;
use lab::parts::{self, Part};
use lab::paths::Paths;
use s2s_peer::initiator::{Initiator, Security};
use serde_json::{Value, json};

/// The ends of a proxy.
struct Ends {
    /// Where it accepts connections for port 5269.
    s2s: SocketAddr,
    /// Where it accepts connections for port 5270.
    s2s_tls: SocketAddr,
    /// The address from which it connects to the engine.
    own: Ipv4Addr,
}

impl Ends {
    fn claim() -> Self {
        let network = Network::claim().unwrap();
        let at = || SocketAddr::from((network.host(1), claim::port().unwrap().port()));
        Self { s2s: at(), s2s_tls: at(), own: network.host(9) }
    }
}

/// An engine behind a proxy.
struct Proxied {
    proxy: Running,
    ends: Ends,
    world: World,
    control: SocketAddr,
}

impl Proxied {
    /// Starts the engine, and the proxy that `launch` describes. `is_trusted` decides whether the engine trusts it.
    fn start(
        software: Debian,
        is_trusted: bool,
        launch: impl FnOnce(&Ends, &World) -> Launch,
    ) -> Self {
        let paths = Paths::from_env().unwrap();
        let part = Part::Server(software);
        parts::build_only(&paths, &[part]).unwrap();
        let ends = Ends::claim();
        let trusted = if is_trusted { ends.own } else { Ipv4Addr::new(192, 0, 2, 1) };
        let mut control = None;
        let world = World::start_with(program::engine(), ORDINARY, |ground, config| {
            control = Some(evidence::serve(ground, config).unwrap());
            config["listen"]["proxyProtocol"] =
                json!({"trustedSources": [format!("{trusted}/32")]});
        })
        .unwrap();
        let home = world.ground.directory().join("proxy");
        fs::create_dir(&home).unwrap();
        let root = part.file(&paths, "rootfs").unwrap();
        let proxy = launch(&ends, &world).start(&root, &home).unwrap();
        Self { proxy, ends, world, control: control.unwrap() }
    }

    fn evidence(&self) -> Value {
        evidence::of_all(self.control, &self.world.ground.authority.roots().unwrap()).unwrap()
    }

    fn logs(&self) -> String {
        format!("{}\n{}", self.proxy.log(), self.world.engine.log())
    }

    /// A stream of the peer through the proxy on each port. The peer's address is the one that the engine sees.
    fn relays(&self) {
        let identity = self.world.ground.authority.issue(&["peer.example"]).unwrap();
        let roots = self.world.ground.authority.roots().unwrap();
        for (address, security) in
            [(self.ends.s2s, Security::StartTls), (self.ends.s2s_tls, Security::DirectTls)]
        {
            let ordinary = self.world.from_peer(Some(&identity), &roots);
            let stream = Initiator { address, security, ..ordinary }.external();
            let mut stream = stream.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
            let message = "<message from='romeo@peer.example/r' to='juliet@local.example' id='1'/>";
            stream.send(message).unwrap();
            assert_eq!(self.world.backend.message().unwrap().attribute("id"), Some("1"));
            let all = self.evidence();
            let inbound = all["inbound"].as_array().unwrap();
            let observed =
                inbound.iter().find(|seen| seen["kind"] == "StreamAuthenticated").unwrap();
            assert_eq!(observed["source"], "127.0.0.1", "{all}");
        }
    }

    /// Neither the log nor the evidence of the engine has the proxy's own connections.
    fn is_silent(&self) {
        let (log, own) = (self.world.engine.log(), self.ends.own.to_string());
        assert!(!log.contains(&own) && !log.contains("refused"), "{log}");
        let all = self.evidence();
        assert_eq!(all["refusals"], json!([]), "{all}");
        assert_eq!(self.world.count("connections_refused_total", &[]).unwrap(), 0);
    }

    /// Expects the proxy's connections to be refused for that reason.
    fn is_refused(&self, reason: &str) {
        // Each connection of the peer ends without an answer.
        let roots = self.world.ground.authority.roots().unwrap();
        let through = Initiator { address: self.ends.s2s, ..self.world.from_peer(None, &roots) };
        assert!(through.open().is_err());
        until("the refusal", || {
            let refusals = self.evidence()["refusals"].clone();
            refusals.as_array().unwrap().iter().any(|refusal| {
                refusal["reason"] == reason && refusal["source"] == self.ends.own.to_string()
            })
        })
        .unwrap();
    }
}

fn haproxy(ends: &Ends, world: &World, options: &str) -> Launch {
    let Ends { s2s, s2s_tls, own } = ends;
    let (outer, outer_tls) = (world.ground.outer, world.ground.outer_tls);
    let config = format!(
        "global
    log stdout format raw local0 info
defaults
    mode tcp
    log global
    option log-health-checks
    timeout connect 10s
    timeout client 15m
    timeout server 15m
    source {own}
listen s2s
    bind {s2s}
    server engine {outer} {options}
listen s2s-tls
    bind {s2s_tls}
    server engine {outer_tls} {options}
"
    );
    let command = ["/usr/sbin/haproxy", "-db", "-f", "/run/haproxy.cfg"];
    launch("haproxy", &command, "haproxy.cfg", config, ends)
}

fn nginx(ends: &Ends, world: &World) -> Launch {
    let Ends { s2s, s2s_tls, own } = ends;
    let (outer, outer_tls) = (world.ground.outer, world.ground.outer_tls);
    let server = |listen: &SocketAddr, to: SocketAddr| {
        format!(
            "server {{ listen {listen}; proxy_pass {to}; proxy_bind {own}; proxy_protocol on; }}"
        )
    };
    // With a master process, nginx changes the user of its workers, which a user namespace refuses.
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root root;
daemon off;
master_process off;
pid /run/nginx.pid;
error_log stderr info;
events {{}}
stream {{
    {}
    {}
}}
",
        server(s2s, outer),
        server(s2s_tls, outer_tls)
    );
    let command = ["/usr/sbin/nginx", "-e", "stderr", "-c", "/run/nginx.conf"];
    launch("nginx", &command, "nginx.conf", config, ends)
}

fn launch(name: &'static str, command: &[&str], file: &str, config: String, ends: &Ends) -> Launch {
    let program = Program {
        name,
        command: command.iter().map(|&word| word.to_owned()).collect(),
        environment: Vec::new(),
        listens: vec![ends.s2s, ends.s2s_tls],
        says: None,
    };
    Launch { files: vec![(file.to_owned(), config)], programs: vec![program] }
}

/// Health checks run all the time, twenty in a second.
fn haproxy_with_checks(options: &str) {
    let checks = format!("check inter 50ms {options}");
    let proxied =
        Proxied::start(Debian::Haproxy12, true, |ends, world| haproxy(ends, world, &checks));
    until("health checks", || {
        let log = proxied.proxy.log();
        ["s2s/engine", "s2s-tls/engine"]
            .iter()
            .all(|server| log.contains(&format!("Health check for server {server} succeeded")))
    })
    .unwrap();
    proxied.relays();
    proxied.is_silent();
    assert!(!proxied.proxy.log().contains("failed"), "{}", proxied.proxy.log());
}

#[test]
fn haproxy_passes_on_the_peers_address_in_version_1_and_its_checks_are_silent() {
    haproxy_with_checks("send-proxy");
}

#[test]
fn haproxy_passes_on_the_peers_address_in_version_2_and_its_checks_are_silent() {
    haproxy_with_checks("send-proxy-v2");
}

#[test]
fn haproxy_with_every_tlv_and_checks_with_a_header_of_their_own_is_served() {
    haproxy_with_checks("send-proxy-v2 proxy-v2-options unique-id,crc32c check-send-proxy");
}

#[test]
fn checks_of_haproxy_without_a_header_are_silent() {
    // A port of its own for checks turns their header off.
    let proxied = Proxied::start(Debian::Haproxy12, true, |ends, world| {
        let port = world.ground.outer.port();
        haproxy(ends, world, &format!("check port {port} inter 50ms send-proxy-v2"))
    });
    until("health checks", || {
        proxied.proxy.log().contains("Health check for server s2s/engine succeeded")
    })
    .unwrap();
    proxied.relays();
    proxied.is_silent();
}

#[test]
fn haproxy_without_the_protocol_is_refused_by_name() {
    let proxied = Proxied::start(Debian::Haproxy12, true, |ends, world| haproxy(ends, world, ""));
    proxied.is_refused("ProxyHeaderMissing");
}

#[test]
fn haproxy_that_is_not_trusted_is_refused_by_name() {
    let proxied = Proxied::start(Debian::Haproxy12, false, |ends, world| {
        haproxy(ends, world, "send-proxy-v2")
    });
    proxied.is_refused("ProxyHeaderUntrusted");
}

#[test]
fn nginx_passes_on_the_peers_address_in_version_1() {
    let proxied = Proxied::start(Debian::Nginx12, true, nginx);
    proxied.relays();
    proxied.is_silent();
}
