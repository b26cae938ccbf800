//! The real engine program between scripted servers: relaying, authentication in both directions, refusals, bounces,
//! reload, exit codes. Loopback only.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use harness::engine::get;
use harness::environment;
use harness::loopback::{
    CLOSED, Ground, LOCAL, LoopbackError, ORDINARY, PEER, PeerKind, World, secret_of, until,
};
use harness::program::engine;
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::namespace::{SERVER, STANZA_ERRORS};
use s2s_peer::signer::Signer;
use s2s_peer::stream::Stream;
use serde_json::json;

const TO_LOCAL: &str = "<message from='romeo@peer.example/r' to='juliet@local.example' id='m1'><body>Hi</body></message>";
const TO_PEER: &str = "<message from='juliet@local.example/b' to='romeo@peer.example' id='m2'><body>Ho</body></message>";

fn body(message: &Element) -> Option<&str> {
    message.child(SERVER, "body").map(|body| body.text.as_str())
}

fn stream_from_peer(world: &World, security: Security) -> Result<Stream, LoopbackError> {
    let identity = world.ground.authority.issue(&[PEER])?;
    let roots = world.ground.authority.roots()?;
    let address = match security {
        Security::DirectTls => world.ground.outer_tls,
        Security::StartTls | Security::Plain => world.ground.outer,
    };
    let initiator = world.from_peer(Some(&identity), &roots);
    Ok(Initiator { security, address, ..initiator }.external()?)
}

#[test]
fn a_message_is_relayed_both_ways_with_external() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut inbound = stream_from_peer(&world, Security::StartTls).unwrap();
    inbound.send(TO_LOCAL).unwrap();
    let relayed = world.backend.message().unwrap();
    assert_eq!(body(&relayed), Some("Hi"));
    assert_eq!(relayed.attribute("from"), Some("romeo@peer.example/r"));

    let mut outbound = world.stream_from_backend(PEER).unwrap();
    outbound.send(TO_PEER).unwrap();
    let relayed = world.peer.message().unwrap();
    assert_eq!(body(&relayed), Some("Ho"));
    assert_eq!(relayed.attribute("from"), Some("juliet@local.example/b"));
}

#[test]
fn dialback_as_receiving_server() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(None, &roots).dialback(&secret_of(PEER)).unwrap();
    stream.send(TO_LOCAL).unwrap();
    assert_eq!(body(&world.backend.message().unwrap()), Some("Hi"));

    let forged = world.from_peer(None, &roots).dialback(&secret_of("somebody else"));
    assert!(matches!(forged, Err(PeerError::Refused { .. })), "{forged:?}");
}

#[test]
fn dialback_as_initiating_and_authoritative_server() {
    let world = World::start(engine(), PeerKind { dialback: true, ..ORDINARY }).unwrap();
    let mut stream = world.stream_from_backend(PEER).unwrap();
    stream.send(TO_PEER).unwrap();
    assert_eq!(body(&world.peer.message().unwrap()), Some("Ho"));
}

#[test]
fn a_key_that_the_engine_did_not_make_is_not_confirmed() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let forged = Element {
        attributes: vec![("from".into(), LOCAL.into()), ("to".into(), PEER.into())],
        text: secret_of(LOCAL).key(PEER, LOCAL, "s1"),
        ..Element::default()
    };
    let confirmed = world.from_peer(Some(&identity), &roots).verify(&forged, "s1");
    assert_eq!(confirmed.ok(), Some(false));
}

#[test]
fn direct_tls_both_ways() {
    let kind = PeerKind { service: "_xmpps-server", ..ORDINARY };
    let world = World::start(engine(), kind).unwrap();
    let mut inbound = stream_from_peer(&world, Security::DirectTls).unwrap();
    inbound.send(TO_LOCAL).unwrap();
    assert_eq!(body(&world.backend.message().unwrap()), Some("Hi"));

    let mut outbound = world.stream_from_backend(PEER).unwrap();
    outbound.send(TO_PEER).unwrap();
    assert_eq!(body(&world.peer.message().unwrap()), Some("Ho"));
}

#[test]
fn a_stanza_for_a_peer_whose_port_is_closed_comes_back_with_the_cause() {
    // The engine retries until the stanza is too old.
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["timeouts"] = serde_json::json!({"queueSeconds": 5});
    })
    .unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    stream
        .send("<message from='juliet@local.example/b' to='tybalt@closed.example' id='m3' type='chat'><body>?</body></message>")
        .unwrap();
    let bounce = world.backend.message().unwrap();
    assert_eq!(bounce.attribute("type"), Some("error"), "{bounce}");
    assert_eq!(bounce.attribute("from"), Some("tybalt@closed.example"));
    assert_eq!(bounce.attribute("to"), Some("juliet@local.example/b"));
    assert_eq!(bounce.attribute("id"), Some("m3"));
    let error = bounce.child(SERVER, "error").unwrap();
    let condition = error.children.iter().find(|child| child.namespace == STANZA_ERRORS).unwrap();
    assert!(condition.name.starts_with("remote-server-"), "{bounce}");
    let text = &error.child(STANZA_ERRORS, "text").unwrap().text;
    assert!(text.contains("refused"), "{bounce}");
}

#[test]
fn nothing_is_relayed_from_one_peer_to_another() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut stream = stream_from_peer(&world, Security::StartTls).unwrap();
    stream
        .send("<message from='romeo@peer.example/r' to='mercutio@closed.example'><body>!</body></message>")
        .unwrap();
    let answer = stream.element("a refusal");
    let refused = match &answer {
        Err(PeerError::Stream { .. }) => true,
        Ok(stanza) => stanza.attribute("type") == Some("error"),
        Err(_) => false,
    };
    assert!(refused, "{answer:?}");

    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let to_other = Initiator { to: CLOSED, ..world.from_peer(Some(&identity), &roots) }.open();
    match to_other {
        Err(PeerError::Stream { condition, .. }) => assert_eq!(condition, "host-unknown"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_that_claims_a_local_domain_is_refused() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[LOCAL]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let claim = Initiator { from: LOCAL, ..world.from_peer(Some(&identity), &roots) };
    let refused = claim.external();
    assert!(matches!(refused, Err(PeerError::Stream { .. })), "{refused:?}");
    let refused = claim.dialback(&secret_of(LOCAL));
    assert!(refused.is_err(), "{refused:?}");
    until("the refusal in the log", || world.engine.log().contains("stream refused")).unwrap();
    until("the refusal in the metrics", || {
        let metrics = get(world.ground.admin, "/metrics").unwrap();
        metrics.contains(r#"direction="inbound",result="Refused"}"#)
    })
    .unwrap();
}

#[test]
fn new_certificate_and_configuration_are_used_without_losing_a_verified_stream() {
    let mut world = World::start(engine(), ORDINARY).unwrap();
    let mut stream = stream_from_peer(&world, Security::StartTls).unwrap();
    stream.send(TO_LOCAL).unwrap();
    world.backend.message().unwrap();
    let old = stream.transport().peer_certificate().cloned();

    world.ground.install_certificate().unwrap();
    until("the new certificate", || {
        let mut other = stream_from_peer(&world, Security::StartTls).unwrap();
        other.transport().peer_certificate().cloned() != old
    })
    .unwrap();

    world.config["policy"] = serde_json::json!({"rules": [
        {"domains": ["banned.example"], "direction": "Both", "action": "Deny"}
    ]});
    world.ground.write("engine.yaml", &format!("{:#}", world.config)).unwrap();
    let identity = world.ground.authority.issue(&["banned.example"]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    until("the new policy", || {
        let banned =
            Initiator { from: "banned.example", ..world.from_peer(Some(&identity), &roots) };
        matches!(banned.external(), Err(PeerError::Stream { .. }))
    })
    .unwrap();

    stream.send(TO_LOCAL).unwrap();
    assert_eq!(body(&world.backend.message().unwrap()), Some("Hi"));
}

#[test]
fn an_authority_that_became_unusable_is_notified_and_the_last_good_one_goes_on_minting() {
    let world = World::start(engine(), ORDINARY).unwrap();
    world.ground.write("backend-ca.crt", "no certificate any more").unwrap();
    until("the complaint about the file", || {
        world
            .engine
            .log()
            .lines()
            .any(|line| line.contains("ERROR") && line.contains("backend-ca.crt"))
    })
    .unwrap();
    // The first stream for this domain: its certificate is issued now.
    let mut stream = world.stream_from_backend(PEER).unwrap();
    stream.send(TO_PEER).unwrap();
    assert_eq!(body(&world.peer.message().unwrap()), Some("Ho"));
}

#[test]
fn trust_anchors_that_became_unusable_are_notified_and_the_last_resolver_goes_on() {
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        ground.write("root.key", &Signer::new().unwrap().anchor()).unwrap();
        config["dnssec"] = json!({"trustAnchors": ground.path("root.key")});
    })
    .unwrap();
    world.ground.write("root.key", "no key any more").unwrap();
    until("the complaint about the file", || {
        world.engine.log().lines().any(|line| line.contains("ERROR") && line.contains("root.key"))
    })
    .unwrap();
    let mut stream = world.stream_from_backend(PEER).unwrap();
    stream.send(TO_PEER).unwrap();
    assert_eq!(body(&world.peer.message().unwrap()), Some("Ho"));
}

fn run_to_the_end(config: &Path) -> std::io::Result<(Option<i32>, String)> {
    let Output { status, stdout, stderr } =
        environment::strip(&mut Command::new(engine())).arg("--config").arg(config).output()?;
    let said = [stdout, stderr].concat();
    Ok((status.code(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn a_port_in_use_is_named_and_exit_code_3() {
    let ground = Ground::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = ground.config(ground.admin, ground.admin);
    config["listen"]["s2s"] = address.to_string().into();
    ground.write("engine.yaml", &format!("{config:#}")).unwrap();
    let (code, said) = run_to_the_end(&ground.path("engine.yaml")).unwrap();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
}

#[test]
fn a_configuration_error_is_exit_code_2_with_file_line_and_field() {
    let ground = Ground::new().unwrap();
    let text = format!("domains:\n  - name: {LOCAL}\nlisten:\n  s2s: \"127.0.0.1:70000\"\n");
    ground.write("engine.yaml", &text).unwrap();
    let file = ground.path("engine.yaml");
    let (code, said) = run_to_the_end(&file).unwrap();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("{}:4", file.display())), "{said}");
    assert!(said.contains("listen.s2s"), "{said}");
}
