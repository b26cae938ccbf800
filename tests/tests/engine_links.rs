//! The way from a stanza to its receiver when that is not simply there: the real engine program between scripted servers
//! that are down, come back and break. Loopback only.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::engine::get;
use tests::loopback::{CLOSED, LOCAL, LoopbackError, ORDINARY, PATIENCE, World, secret_of};
use tests::peer::acceptor::{Acceptor, Proof};
use tests::peer::element::Element;
use tests::peer::error::Result as PeerResult;
use tests::peer::namespace::{SERVER, STANZA_ERRORS};
use tests::peer::server::{Event, Server};
use tests::peer::stream::Stream;
use tests::program;

/// The engine's program, built once.
fn engine() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| program::build().unwrap())
}

/// The next message; the engine's own pings of the backend come in between.
fn message(server: &Server) -> PeerResult<Element> {
    server.wait("a message", |event| match event {
        Event::Stanza { stanza, .. } if stanza.name == "message" => Some(stanza),
        _ => None,
    })
}

fn stream_from_backend(world: &World, to: &str) -> Result<Stream, LoopbackError> {
    let identity = world.ground.backend_ca.issue(&[LOCAL])?;
    let roots = world.ground.backend_ca.roots()?;
    Ok(world.from_backend(&identity, &roots, to).external()?)
}

fn to(domain: &str, id: impl std::fmt::Display, body: &str) -> String {
    format!(
        "<message from='juliet@{LOCAL}/b' to='tybalt@{domain}' id='{id}' type='chat'>\
         <body>{body}</body></message>"
    )
}

fn acceptor(world: &World, domain: &str) -> Acceptor {
    Acceptor {
        domain: domain.to_owned(),
        identity: world.ground.authority.issue(&[domain]).unwrap(),
        roots: world.ground.authority.roots().unwrap(),
        proof: Proof::Certificate,
        secret: secret_of(domain),
        patience: PATIENCE,
    }
}

/// Waits for what the engine shows only when it is asked.
fn until(what: &str, mut seen: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !seen() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A value of `/metrics`; 0 when it is not there yet.
fn metric(world: &World, name: &str) -> u64 {
    let all = get(world.ground.admin, "/metrics").unwrap();
    let value = all.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_default()
}

/// Kind, condition and text of a bounce.
fn error(bounce: &Element) -> (&str, &str, &str) {
    assert_eq!(bounce.attribute("type"), Some("error"), "{bounce}");
    let error = bounce.child(SERVER, "error").unwrap();
    let condition = error.children.iter().find(|child| child.namespace == STANZA_ERRORS).unwrap();
    let text = error.child(STANZA_ERRORS, "text").map_or("", |text| text.text.as_str());
    (error.attribute("type").unwrap_or_default(), &condition.name, text)
}

#[test]
fn what_waits_for_a_server_that_is_down_arrives_in_order_when_it_is_back() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut stream = stream_from_backend(&world, CLOSED).unwrap();
    for id in 0..5 {
        stream.send(to(CLOSED, id, "?")).unwrap();
    }
    until("failed attempts", || {
        metric(&world, "xmpp_federation_dials_total{result=\"ConnectRefused\"}") >= 2
    });
    assert_eq!(metric(&world, "xmpp_federation_stanzas_queued"), 5);

    let back = Server::start(world.closed, acceptor(&world, CLOSED)).unwrap();
    for id in 0..5 {
        let arrived = message(&back).unwrap();
        assert_eq!(arrived.attribute("id"), Some(id.to_string().as_str()), "{arrived}");
    }
    let bounced =
        |event: &Event| matches!(event, Event::Stanza { stanza, .. } if stanza.name == "message");
    assert!(!world.backend.events().iter().any(bounced));
}

#[test]
fn a_stanza_for_a_domain_that_does_not_exist_comes_back_at_once() {
    // Were it held like one that may still arrive, it would come back when all patience is over.
    let world = World::start_with(engine(), ORDINARY, |config| {
        config["timeouts"] = json!({"queueSeconds": PATIENCE.as_secs() * 4});
    })
    .unwrap();
    let mut stream = stream_from_backend(&world, "nowhere.example").unwrap();
    for id in ["first", "second"] {
        stream.send(to("nowhere.example", id, "?")).unwrap();
        let bounce = message(&world.backend).unwrap();
        assert_eq!(bounce.attribute("id"), Some(id));
        let (kind, condition, _) = error(&bounce);
        assert_eq!((kind, condition), ("cancel", "remote-server-not-found"), "{bounce}");
    }
}
