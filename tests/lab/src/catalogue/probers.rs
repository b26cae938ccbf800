//! Faults that probers see from outside the cluster: `InboundReachable` is False.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use harness::program::engine;
use s2s_peer::acceptor::{Acceptor, Proof, Session};
use s2s_peer::authority::Authority;
use s2s_peer::dialback::Secret;
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::receiving::Receiving;
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use serde_json::json;

use super::fault::{Fault, lost, open};
use super::fixture::{Fixture, PROBER_TOKEN, PROBERS};
use super::simulated;
use super::stage::Stage;
use crate::error::Result;
use crate::host;
use crate::network::Host;
use crate::paths::{Paths, write};

/// Time limit for each answer of a simulated server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "a firewall drops connections from the internet to the engine",
        fixture: Fixture::Probed,
        inject: |stage| firewall(stage, "tcp dport { 5269, 5270 } drop"),
        expected: lost(
            "InboundReachable",
            "ProbeTimedOut",
            "Prober .* cannot connect to <address>:5269: connection timed out",
            "Allow TCP 5269 from the internet",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Router),
    },
    Fault {
        name: "a firewall rejects connections from the internet to the engine",
        fixture: Fixture::Probed,
        inject: |stage| firewall(stage, "tcp dport { 5269, 5270 } reject with tcp reset"),
        expected: lost(
            "InboundReachable",
            "ProbeRefused",
            "Prober .* cannot connect to <address>:5269: connection refused",
            "check Service example",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Router),
    },
    Fault {
        name: "a firewall drops connections from the internet to the port for Direct TLS",
        fixture: Fixture::Probed,
        inject: |stage| firewall(stage, "tcp dport 5270 drop"),
        expected: lost(
            "InboundReachable",
            "ProbeTimedOut",
            "Prober .* cannot connect to <address>:5270: connection timed out",
            "Allow TCP 5270 from the internet",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Router),
    },
    Fault {
        name: "a firewall that inspects the protocol resets the streams of servers outside",
        fixture: Fixture::Probed,
        inject: |stage| {
            firewall(stage, "tcp dport 5269 tcp flags & psh == psh reject with tcp reset")
        },
        expected: lost(
            "InboundReachable",
            "ProbeReset",
            "Prober .* reaches <address>:5269 .*, but the connection was reset or closed",
            "Exempt the port from inspection",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Router),
    },
    Fault {
        name: "the path from the engine drops large packets",
        fixture: Fixture::Probed,
        inject: |stage| {
            let address = stage.address()?;
            stage.filter(Host::Router, &format!("ip saddr {address} ip length > 900 drop"), "")
        },
        expected: lost(
            "InboundReachable",
            "ProbeTimedOut",
            "Prober .* reaches <address>:5269 .*, but the stream stalls",
            "MTU",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Router),
    },
    Fault {
        name: "a NAT mapping leads to a server with another certificate",
        fixture: Fixture::Probed,
        inject: |stage| {
            let (domain, authority) =
                (stage.domain.clone(), Authority::new("other").map_err(simulated::failed)?);
            let acceptor = Acceptor {
                domain,
                identity: authority.issue(&["other.example"]).map_err(simulated::failed)?,
                roots: authority.roots().map_err(simulated::failed)?,
                proof: Proof::Certificate,
                secret: Secret::new("other"),
                timeout: TIMEOUT,
            };
            let impostor = simulated::free_address(Host::Node);
            simulated::serve(stage, Host::Node, move || Server::start(impostor, acceptor))?;
            divert(stage, &impostor.to_string())
        },
        expected: lost(
            "InboundReachable",
            "ProbeWrongCertificate",
            "Prober .* reaches <address>:5269 .*, but the server presents a certificate for other\\.example that no engine pod serves",
            "Another server or a TLS proxy answers there: check Service example",
        ),
        consequences: &[],
        repair: undivert,
    },
    Fault {
        name: "a NAT mapping leads to a web server",
        fixture: Fixture::Probed,
        inject: |stage| {
            let impostor = simulated::free_address(Host::Node);
            simulated::serve(stage, Host::Node, move || Server::start(impostor, WebServer))?;
            divert(stage, &impostor.to_string())
        },
        expected: lost(
            "InboundReachable",
            "ProbeNotXMPP",
            "Prober .* reaches <address>:5269 .*, but the server does not speak XMPP",
            "Another server or a TLS proxy answers there: check Service example",
        ),
        consequences: &[],
        repair: undivert,
    },
    Fault {
        name: "a NAT mapping leads to the XMPP server of another domain",
        fixture: Fixture::Probed,
        inject: |stage| {
            let other = Stage::new(&stage.paths, Fixture::Healthy, 0).pod()?;
            divert(stage, &format!("{other}:5269"))
        },
        expected: lost(
            "InboundReachable",
            "ProbeFailed",
            "Prober .* reaches <address>:5269 .*, but the server closed the stream with host-unknown",
            "Another server or a TLS proxy answers there: check Service example",
        ),
        consequences: &[],
        repair: undivert,
    },
    Fault {
        name: "the firewall in front of the load balancer has no mapping for the port",
        fixture: Fixture::Probed,
        inject: |stage| {
            // The firewall has the address of the load balancer, so that nothing changes in DNS.
            let address = stage.address()?.to_string();
            firewall(stage, "tcp dport { 5269, 5270 } reject with tcp reset")?;
            stage.respec(&json!({"service": {"publicAddresses": [address]}}))
        },
        expected: lost(
            "InboundReachable",
            "ProbeRefused",
            "Prober .* cannot connect to <address>:5269: connection refused",
            "The firewall or NAT device rejects TCP 5269.* Map it to <address>:5269",
        ),
        consequences: &[],
        repair: |stage| {
            stage.no_filter(Host::Router)?;
            stage.restore_spec()
        },
    },
    Fault {
        name: "a firewall drops connections from one of two networks",
        fixture: Fixture::Probed,
        inject: |stage| {
            let one = Host::Partner.address();
            firewall(stage, &format!("ip saddr {one} tcp dport {{ 5269, 5270 }} drop"))
        },
        expected: open(
            "InboundReachable",
            "ProbersDisagree",
            "Prober .* cannot connect to <address>:5269: connection timed out.*Prober .* connects to all ports",
            "Check whether a firewall admits only some networks",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Router),
    },
];

/// Starts the probers.
pub fn start(paths: &Paths) -> Result<()> {
    let token = paths.host("partner").join("catalogue-token");
    write(&token, PROBER_TOKEN)?;
    for (on, port) in PROBERS {
        let run = host::in_network_of(on, engine())
            .args(["probe", "--listen", &format!("0.0.0.0:{port}")])
            .args(["--allow-network", "198.18.0.0/15", "--token-file"])
            .arg(&token);
        host::daemon(paths, &record(on), run)?;
    }
    Ok(())
}

/// Stops them.
pub fn stop(paths: &Paths) -> Result<()> {
    PROBERS.iter().try_for_each(|(on, _)| host::stop_daemon(paths, &record(*on)))
}

fn record(on: Host) -> String {
    format!("catalogue-prober-{on}")
}

/// What a firewall between the internet and the cluster does with packets to the load balancer's address.
fn firewall(stage: &Stage, verdict: &str) -> Result<()> {
    let address = stage.address()?;
    stage.filter(Host::Router, &format!("ip daddr {address} {verdict}"), "")
}

/// Leads connections to the load balancer's address elsewhere.
fn divert(stage: &Stage, to: &str) -> Result<()> {
    let address = stage.address()?;
    let rule = format!("ip daddr {address} tcp dport 5269 dnat to {to}");
    stage.filter(Host::Node, "", &rule)
}

fn undivert(stage: &Stage) -> Result<()> {
    stage.no_filter(Host::Node)?;
    simulated::stop_all(stage)
}

/// A server that speaks HTTP.
struct WebServer;

impl Receiving for WebServer {
    fn accept(&self, mut tcp: TcpStream) -> std::result::Result<Option<Session>, PeerError> {
        let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        tcp.write_all(page).map_err(PeerError::io("answering"))?;
        Ok(None)
    }

    fn dialback(
        &self,
        _: &mut Stream,
        _: &Element,
        _: &str,
    ) -> std::result::Result<Option<String>, PeerError> {
        Ok(None)
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}
