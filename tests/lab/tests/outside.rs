//! Evidence from outside: a prober on another host of the lab's internet, and a firewall that closes the port for it.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::time::Instant;

use harness::program::engine;
use lab::federation;
use lab::host;
use lab::kubernetes::apply;
use lab::network::Host;
use lab::paths::write;
use lab::scenario::federated::Federated;

/// The name of the prober's record and log.
const PROBER: &str = "prober";
const PORT: u16 = 9453;
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
