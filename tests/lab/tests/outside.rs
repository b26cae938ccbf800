//! Evidence from outside: a prober on another host of the lab's internet, a user there who probes and reports, a firewall that
//! closes the port for them, and a server that only verifies our key.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::program::{self, engine};
use lab::federation;
use lab::host;
use lab::kubernetes::{apply, get, kubectl};
use lab::network::Host;
use lab::paths::{Paths, write};
use lab::public_dns::{self, LOCAL_ZONE};
use lab::scenario::federated::Federated;
use lab::wait::{Seen, Wait};
use s2s_peer::authority::Authority;
use s2s_peer::partners::cisco_imp;
use s2s_peer::partners::partner::{Partner, Unknown};
use s2s_peer::server::Server;
use serde_json::Value;

/// The name of the prober's record and log.
const PROBER: &str = "prober";
const PORT: u16 = 9453;
/// The port of the server that verifies our key.
const VERIFIER: u16 = 5269;
const TOKEN: &str = "the token of the prober in the lab";
/// Removes the rules. The first line makes the second one succeed.
const NO_RULES: &str = "table ip outside\ndelete table ip outside\n";

fn rules(rules: &str) {
    let rules = format!("{NO_RULES}{rules}");
    host::in_network_of(Host::Router, "nft").args(["-f", "-"]).input(rules).ok().unwrap();
}

/// What a firewall between the internet and the cluster does with the federation's ports.
fn firewall(verdict: &str) {
    rules(&format!(
        "table ip outside {{\n\
           chain forward {{\n\
             type filter hook forward priority filter; policy accept;\n\
             iifname \"internet\" tcp dport {{ 5269, 5270 }} {verdict}\n\
           }}\n\
         }}\n"
    ));
}

#[test]
fn a_prober_shows_that_a_firewall_closes_the_port_and_opens_it_again() {
    let paths = Federated::stage().unwrap();
    let token = paths.host("partner").join("prober-token");
    write(&token, TOKEN).unwrap();
    let run = host::in_network_of(Host::Partner, engine())
        .args(["probe", "--listen", &format!("0.0.0.0:{PORT}"), "--allow-network", "198.18.0.0/15"])
        .arg("--token-file")
        .arg(&token);
    host::daemon(&paths, PROBER, run).unwrap();
    let verification = format!(
        "  verification: {{prober: {{url: 'https://{}:{PORT}', secretRef: {{name: prober}}}}}}\n  egress:",
        Host::Partner.address()
    );
    let manifest =
        federation::short_federation(&paths).unwrap().replacen("  egress:", &verification, 1);
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: prober, namespace: {}}}\nstringData: {{secret: '{TOKEN}'}}\n",
        federation::NAMESPACE
    );
    apply(&federated.paths, &secret).unwrap();
    federated.until_true("Ready").unwrap();
    federated
        .until("the prober as evidence", |now| {
            now.has("InboundReachable", "True", "ProbeSucceeded")
        })
        .unwrap();

    for (verdict, reason, words) in [
        ("drop", "ProbeTimedOut", "connection timed out"),
        ("reject with tcp reset", "ProbeRefused", "connection refused"),
    ] {
        let begun = Instant::now();
        firewall(verdict);
        let named = federated.until_false("InboundReachable", reason);
        println!("{reason} after {:?}", begun.elapsed());
        // Repaired before the assertions, so that a failure here does not fail the tests after it.
        rules("");
        let message = named.unwrap();
        assert!(message.contains(words) && message.contains("TCP 5269"), "{message}");
        federated.until_true("InboundReachable").unwrap();
        federated.until_true("Ready").unwrap();
    }
    host::stop_daemon(&federated.paths, PROBER).unwrap();
}

/// `kubectl xfed probe` on a host of the internet, with the administrator's kubeconfig: its exit code and output.
fn probe_from(paths: &Paths, host: Host) -> (Option<i32>, String) {
    let output = host::in_network_of(host, program::build("operator", "kubectl-xfed").unwrap())
        .args(["probe", federation::NAME, "-n", federation::NAMESPACE, "--vantage", "laptop"])
        .args(["--allow-network", "198.18.0.0/15", "--kubeconfig"])
        .arg(paths.kubeconfig())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_user_outside_reports_that_a_firewall_closes_the_port_and_that_it_is_open_again() {
    let mut federated = Federated::ready().unwrap();
    let paths = federated.paths.clone();
    firewall("drop");
    let closed = probe_from(&paths, Host::Other);
    println!("{}", closed.1);
    let named = federated.until_false("InboundReachable", "ProbeTimedOut");
    rules("");
    let message = named.unwrap();
    assert_eq!(closed.0, Some(1), "{}", closed.1);
    assert!(closed.1.contains("connection timed out"), "{}", closed.1);
    let begin = "Prober laptop (reported by ";
    assert!(message.starts_with(begin) && message.contains("TCP 5269"), "{message}");

    let open = probe_from(&paths, Host::Other);
    println!("{}", open.1);
    assert_eq!(open.0, Some(0), "{}", open.1);
    assert!(open.1.contains("the stream is open; TLSv1.3"), "{}", open.1);
    federated
        .until("the report as evidence", |now| now.has("InboundReachable", "True", "ProbeReported"))
        .unwrap();
    federated.until_true("Ready").unwrap();
    // The reports are deleted with their federation.
    kubectl(&paths)
        .unwrap()
        .args(["delete", "xfed", federation::NAME, "-n", federation::NAMESPACE, "--wait"])
        .ok()
        .unwrap();
    Wait::new("the reports to be deleted", Duration::from_mins(2))
        .until(|| {
            let all: Value = get(&paths, &["xfedreport", "-n", federation::NAMESPACE])?;
            let left = all.pointer("/items").and_then(Value::as_array).map_or(0, Vec::len);
            Ok(Seen::done_if(left == 0, format!("{left} reports")))
        })
        .unwrap();
}

/// A server that verifies our key, and never sends a stanza of its own.
fn verifying_server(domain: &str, others: SocketAddr) -> Partner {
    let authority = Authority::new("simulated").unwrap();
    Partner {
        domain: domain.to_owned(),
        wire: cisco_imp::TLS_OPTIONAL,
        identity: authority.issue(&[domain]).unwrap(),
        roots: authority.roots().unwrap(),
        others,
        claim: None,
        customers: Vec::new(),
        unknown: Unknown::HostUnknown,
        timeout: Duration::from_secs(20),
    }
}

#[test]
fn a_server_that_verifies_our_key_shows_that_it_reaches_us() {
    let mut federated = Federated::ready().unwrap();
    let paths = federated.paths.clone();
    let service: Value =
        get(&paths, &["service", federation::NAME, "-n", federation::NAMESPACE]).unwrap();
    let address = service.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str);
    let address = address.unwrap().parse().unwrap();
    let domain = format!("verifier.{LOCAL_ZONE}");
    let partner = verifying_server(&domain, SocketAddr::new(address, 5269));
    let at = SocketAddr::from((Host::Other.address(), VERIFIER));
    let server = host::in_thread_on(Host::Other, move || Server::start(at, partner)).unwrap();
    let server = server.unwrap();
    let (srv, target) = (format!("_xmpp-server._tcp.{domain}"), format!("target.{domain}"));
    let records = format!(
        "update add {target} 1 A {}\nupdate add {srv} 1 SRV 0 5 {VERIFIER} {target}.",
        Host::Other.address()
    );
    public_dns::update(&paths, &records).unwrap();
    let manifest = federation::short_federation(&paths).unwrap();
    let peers = format!("  peers: [{{domain: {domain}}}]\n  egress:");
    apply(&paths, &manifest.replacen("  egress:", &peers, 1)).unwrap();
    let seen = federated.until("the verified key as evidence", |now| {
        now.has("InboundReachable", "True", "DialbackObserved")
    });
    // A server connects to itself when it stops.
    host::in_thread_on(Host::Other, move || drop(server)).unwrap();
    public_dns::update(&paths, &format!("update delete {target}\nupdate delete {srv}")).unwrap();
    seen.unwrap();
}
