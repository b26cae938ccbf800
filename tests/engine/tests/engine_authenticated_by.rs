//! The method that authenticates a peer, as the log and the evidence report it, and the one setting that requires a
//! certificate from all peers.

#![allow(clippy::indexing_slicing, reason = "a test states its expectations so")]
#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::net::SocketAddr;

use harness::claim;
use harness::evidence::{self, CONTROL_NAME, TOKEN};
use harness::loopback::{LoopbackError, ORDINARY, PEER, World, eventually, secret_of};
use harness::program::engine;
use s2s_peer::authority::Authority;
use s2s_peer::element::Element;
use s2s_peer::namespace::{SERVER, STANZA_ERRORS};
use s2s_peer::server::Event;
use serde_json::{Value, json};

const TO_LOCAL: &str = "<message from='romeo@peer.example/r' to='juliet@local.example' id='m1'><body>Hi</body></message>";
const TO_PEER: &str = "<message from='juliet@local.example/b' to='romeo@peer.example' id='m2' type='chat'><body>Ho</body></message>";

/// Whether the engine trusts the authority that issued the peer's certificate.
#[derive(Clone, Copy, PartialEq)]
enum PeerCertificate {
    Trusted,
    Untrusted,
}

struct Reports {
    world: World,
    control: SocketAddr,
}

impl Reports {
    fn start(certificate: PeerCertificate, settings: &Value) -> Self {
        let control = claim::port().unwrap();
        let world = World::start_with(engine(), ORDINARY, |ground, config| {
            let identity = ground.authority.issue(&[CONTROL_NAME]).unwrap();
            ground.write("control.crt", identity.certificate_pem()).unwrap();
            ground.write("control.key", identity.key_pem()).unwrap();
            ground.write("token", TOKEN).unwrap();
            evidence::listen(ground, config, control);
            if certificate == PeerCertificate::Untrusted {
                let other = Authority::new("Another CA").unwrap();
                ground.write("ca.crt", &other.certificate_pem()).unwrap();
            }
            for (field, value) in settings.as_object().unwrap() {
                config[field] = value.clone();
            }
        })
        .unwrap();
        Self { world, control }
    }

    /// The evidence about one direction with the peer.
    fn evidence(&self, direction: &str) -> Result<Value, LoopbackError> {
        let roots = self.world.ground.authority.roots()?;
        let all: Value = evidence::of_all(self.control, &roots).unwrap();
        let peers = all["peers"].as_array().unwrap();
        let peer = peers.iter().find(|peer| peer["domain"] == PEER);
        Ok(peer.map_or(Value::Null, |peer| peer[direction].clone()))
    }

    /// Waits until evidence and log agree on the method that authenticates the peer.
    fn authenticated_by(&self, direction: &str, word: &str) {
        let field = || Ok(self.evidence(direction)?["authenticatedBy"].clone());
        eventually("the evidence", &json!(word), field).unwrap();
        let part = format!("authenticated_by=\"{word}\"");
        let log = self.world.engine.log();
        assert!(log.lines().any(|line| line.contains(&part)), "{part} is not in\n{log}");
    }

    fn send_to_peer(&self) {
        self.world.stream_from_backend(PEER).unwrap().send(TO_PEER).unwrap();
    }
}

fn body(message: &Element) -> Option<&str> {
    message.child(SERVER, "body").map(|body| body.text.as_str())
}

fn strict() -> Value {
    json!({"tls": {"verification": "Required"}})
}

#[test]
fn a_valid_certificate_authenticates_a_peer_in_both_directions() {
    let reported = Reports::start(PeerCertificate::Trusted, &json!({"peerDefaults": strict()}));
    reported.send_to_peer();
    assert_eq!(body(&reported.world.peer.message().unwrap()), Some("Ho"));
    reported.authenticated_by("outbound", "Certificate");

    let identity = reported.world.ground.authority.issue(&[PEER]).unwrap();
    let roots = reported.world.ground.authority.roots().unwrap();
    let mut stream = reported.world.from_peer(Some(&identity), &roots).external().unwrap();
    stream.send(TO_LOCAL).unwrap();
    assert_eq!(body(&reported.world.backend.message().unwrap()), Some("Hi"));
    reported.authenticated_by("inbound", "Certificate");
}

#[test]
fn without_a_valid_certificate_dns_authenticates_whom_we_send_to_and_dialback_who_sends_to_us() {
    let reported = Reports::start(PeerCertificate::Untrusted, &json!({}));
    reported.send_to_peer();
    assert_eq!(body(&reported.world.peer.message().unwrap()), Some("Ho"));
    reported.authenticated_by("outbound", "DNS");
    let tls = &reported.evidence("outbound").unwrap()["tls"];
    assert_eq!(tls["verification"], "CertificateUntrusted");
    // The end of validity is reported for every verdict.
    assert!(tls["notAfter"].as_str().unwrap() > "2026", "{tls}");

    let roots = reported.world.ground.authority.roots().unwrap();
    let mut stream = reported.world.from_peer(None, &roots).dialback(&secret_of(PEER)).unwrap();
    stream.send(TO_LOCAL).unwrap();
    assert_eq!(body(&reported.world.backend.message().unwrap()), Some("Hi"));
    reported.authenticated_by("inbound", "Dialback");
}

#[test]
fn a_certificate_that_peer_defaults_require_is_missed_with_its_fault_and_the_setting() {
    let reported = Reports::start(PeerCertificate::Untrusted, &json!({"peerDefaults": strict()}));
    reported.send_to_peer();
    let bounce = reported.world.backend.message().unwrap();
    assert_eq!((bounce.attribute("type"), bounce.attribute("id")), (Some("error"), Some("m2")));
    let error = bounce.child(SERVER, "error").unwrap();
    let text = &error.child(STANZA_ERRORS, "text").unwrap().text;
    for part in
        ["which is not trusted", "`tls.verification` of this peer is Required", "peerDefaults"]
    {
        assert!(text.contains(part), "{part} is not in {text:?}");
    }
    let outbound = reported.evidence("outbound").unwrap();
    assert_eq!(outbound["reason"], "CertificateUntrusted", "{outbound}");
    assert_eq!((&outbound["step"], &outbound["message"]), (&json!("TLS"), &json!(text)));
    assert_eq!(outbound["authenticatedBy"], Value::Null);
    let log = reported.world.engine.log();
    assert!(log.contains("reason=\"CertificateUntrusted\""), "{log}");
    let taken = |event: &Event| matches!(event, Event::Authenticated { .. } | Event::Stanza { .. });
    assert!(!reported.world.peer.events().iter().any(taken), "nothing was sent to that server");

    // Dialback does not replace the certificate, and the unauthenticated server learns of no setting.
    let roots = reported.world.ground.authority.roots().unwrap();
    let identity = reported.world.ground.authority.issue(&[PEER]).unwrap();
    let stranger = reported.world.from_peer(Some(&identity), &roots);
    let refused = stranger.dialback(&secret_of(PEER)).unwrap_err().to_string();
    assert!(!refused.contains("tls.verification"), "{refused}");
    assert!(!reported.world.backend.events().iter().any(|event| {
        matches!(event, Event::Stanza { stanza, .. } if stanza.name == "message")
    }));
}

#[test]
fn an_entry_of_its_own_exempts_a_peer_from_the_default() {
    let settings = json!({
        "peerDefaults": strict(),
        "peers": [{"domain": PEER, "tls": {"verification": "Preferred"}}],
    });
    let reported = Reports::start(PeerCertificate::Untrusted, &settings);
    reported.send_to_peer();
    assert_eq!(body(&reported.world.peer.message().unwrap()), Some("Ho"));
    reported.authenticated_by("outbound", "DNS");
}
