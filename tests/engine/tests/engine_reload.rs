//! A configuration that removes a domain, denies a peer or requires more of it ends the streams that it no longer
//! allows, and no others. The real engine program between scripted servers. Loopback only.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test states its expectations so")]

use harness::loopback::{CLOSED, LOCAL, ORDINARY, PEER, PeerKind, World, secret_of, until};
use harness::program::engine;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::server::{Event, Server};
use s2s_peer::stream::Stream;
use serde_json::{Value, json};

/// A second domain of the engine.
const GONE: &str = "gone.example";

/// A peer whose configuration does not change.
const OTHER: &str = "other.example";

fn reload(world: &mut World, change: impl FnOnce(&mut Value)) {
    change(&mut world.config);
    world.ground.write("engine.yaml", &format!("{:#}", world.config)).unwrap();
}

/// A stream that a peer opens to the engine, authenticated by its certificate.
fn from(world: &World, peer: &'static str, to: &'static str) -> Stream {
    let identity = world.ground.authority.issue(&[peer]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let initiator = Initiator { from: peer, to, ..world.from_peer(Some(&identity), &roots) };
    let stream = initiator.external();
    stream.unwrap_or_else(|error| panic!("{error}\n{}", world.engine.log()))
}

fn message(from: &str, to: &str, id: &str) -> String {
    format!("<message from='romeo@{from}/r' to='juliet@{to}' id='{id}'><body>Hi</body></message>")
}

/// The stream continues: its stanzas arrive.
fn goes_on(world: &World, stream: &mut Stream, from: &str, to: &str) {
    stream.send(message(from, to, "still")).unwrap();
    // Other streams of the backend may end meanwhile.
    let arrived = |event: &Event| matches!(event, Event::Stanza { stanza, .. } if stanza.attribute("id") == Some("still"));
    until("a stanza", || world.backend.events().iter().any(arrived)).unwrap();
}

/// The condition that a stream ends with.
fn end(stream: &mut Stream) -> String {
    match stream.element("the end of the stream") {
        Err(PeerError::Stream { condition, .. }) => condition,
        other => panic!("{other:?}"),
    }
}

/// The condition that the engine's stream to a server ends with.
fn end_at(server: &Server) -> String {
    match server.wait("the end of the stream", |_| None::<()>) {
        Err(PeerError::Stream { condition, .. }) => condition,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_streams_of_a_domain_that_is_taken_away_end_with_host_gone() {
    let mut world = World::start_with(engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&[LOCAL, GONE]).unwrap();
        config["domains"] =
            json!([{"name": LOCAL, "backend": "im"}, {"name": GONE, "backend": "im"}]);
    })
    .unwrap();
    let mut to_gone = from(&world, PEER, GONE);
    let mut to_local = from(&world, PEER, LOCAL);
    let identity = world.ground.backend_ca.issue(&[GONE]).unwrap();
    let roots = world.ground.backend_ca.roots().unwrap();
    let from_gone = Initiator { from: GONE, ..world.from_backend(&identity, &roots, PEER) };
    let mut from_gone = from_gone.external().unwrap();
    from_gone.send(message(GONE, PEER, "out")).unwrap();
    world.peer.message().unwrap();

    reload(&mut world, |config| {
        config["domains"] = json!([{"name": LOCAL, "backend": "im"}]);
    });
    assert_eq!(end(&mut to_gone), "host-gone", "{}", world.engine.log());
    assert_eq!(end(&mut from_gone), "host-gone");
    assert_eq!(end_at(&world.peer), "host-gone");
    goes_on(&world, &mut to_local, PEER, LOCAL);
}

#[test]
fn the_streams_of_a_peer_that_is_denied_end_and_what_waits_for_it_comes_back() {
    let mut world = World::start(engine(), ORDINARY).unwrap();
    let mut denied = from(&world, PEER, LOCAL);
    let mut other = from(&world, OTHER, LOCAL);
    let mut backend = world.stream_from_backend(PEER).unwrap();
    backend.send(message(LOCAL, PEER, "out")).unwrap();
    world.peer.message().unwrap();
    // This stream waits for a server that is down.
    let mut waiting = world.stream_from_backend(CLOSED).unwrap();
    waiting.send(message(LOCAL, CLOSED, "waiting")).unwrap();

    reload(&mut world, |config| {
        config["policy"] = json!({"rules": [{"domains": [PEER, CLOSED], "action": "Deny"}]});
    });
    assert_eq!(end(&mut denied), "policy-violation", "{}", world.engine.log());
    assert_eq!(end_at(&world.peer), "policy-violation");
    let bounce = world.backend.message().unwrap();
    assert_eq!(
        (bounce.attribute("id"), bounce.attribute("type")),
        (Some("waiting"), Some("error")),
        "{bounce}"
    );
    goes_on(&world, &mut other, OTHER, LOCAL);
    // The backend's streams stay open, and their stanzas for the denied peer are answered.
    backend.send(message(LOCAL, PEER, "denied")).unwrap();
    let bounce = world.backend.message().unwrap();
    assert_eq!(bounce.attribute("id"), Some("denied"), "{bounce}");
}

/// A stream of the peer that was authenticated under one entry of `peers`, and whether it stays open under another one.
fn under(before: &Value, stream: impl FnOnce(&World) -> Stream, after: &Value, stays: bool) {
    let kind = PeerKind { dialback: true, ..ORDINARY };
    let mut world = World::start_with(engine(), kind, |_, config| {
        config["peers"] = json!([before]);
    })
    .unwrap();
    let mut stream = stream(&world);
    let mut other = from(&world, OTHER, LOCAL);
    reload(&mut world, |config| {
        config["peers"] = json!([after]);
        // This stream ends when the new configuration is in force, and thus shows that it is.
        config["policy"] = json!({"rules": [{"domains": [OTHER], "action": "Deny"}]});
    });
    assert_eq!(end(&mut other), "policy-violation", "{}", world.engine.log());
    if stays {
        goes_on(&world, &mut stream, PEER, LOCAL);
    } else {
        assert_eq!(end(&mut stream), "policy-violation", "{after}\n{}", world.engine.log());
    }
}

/// Authenticated by its certificate.
fn external(world: &World) -> Stream {
    from(world, PEER, LOCAL)
}

/// Authenticated by dialback, over TLS without a sufficient certificate, or without TLS.
fn by_dialback(world: &World, security: Security) -> Stream {
    let roots = world.ground.authority.roots().unwrap();
    let initiator = Initiator { security, ..world.from_peer(None, &roots) };
    initiator.dialback(&secret_of(PEER)).unwrap()
}

#[test]
fn a_stream_without_tls_ends_when_tls_becomes_required() {
    under(
        &json!({"domain": PEER, "tls": {"mode": "Optional"}}),
        |world| by_dialback(world, Security::Plain),
        &json!({"domain": PEER, "tls": {"mode": "Required"}}),
        false,
    );
}

#[test]
fn a_stream_without_a_valid_certificate_ends_when_one_becomes_required() {
    under(
        &json!({"domain": PEER}),
        |world| by_dialback(world, Security::StartTls),
        &json!({"domain": PEER, "tls": {"verification": "Required"}}),
        false,
    );
}

#[test]
fn a_stream_that_dialback_proved_ends_when_dialback_is_disabled() {
    under(
        &json!({"domain": PEER}),
        |world| by_dialback(world, Security::StartTls),
        &json!({"domain": PEER, "authentication": {"dialback": "Disabled"}}),
        false,
    );
}

#[test]
fn a_stream_that_a_certificate_proved_ends_when_dialback_becomes_required() {
    under(
        &json!({"domain": PEER}),
        external,
        &json!({"domain": PEER, "authentication": {"dialback": "Required"}}),
        false,
    );
}

#[test]
fn a_stream_that_the_new_policy_allows_goes_on() {
    under(&json!({"domain": PEER}), external, &json!({"domain": PEER, "profile": "Strict"}), true);
}

#[test]
fn a_peer_that_no_longer_meets_its_settings_is_reported_soon_after_the_reload() {
    let mut control = None;
    let mut world = World::start_with(engine(), ORDINARY, |ground, config| {
        control = Some(harness::evidence::serve(ground, config).unwrap());
        config["peers"] = json!([{"domain": PEER}]);
    })
    .unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let reason = || {
        let peer = harness::evidence::of_peer(control.unwrap(), &roots).unwrap();
        peer.outbound.map(|stream| stream.reason).unwrap_or_default()
    };
    until("the stream to the peer", || reason() == "Connected").unwrap();
    let pin = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    reload(&mut world, |config| {
        config["peers"] = json!([{
            "domain": PEER, "tls": {"verification": "Required", "pins": [pin]},
        }]);
    });
    // The regular check of a reached peer comes much later than the deadline.
    until("the failed check of its key", || reason() == "PinMismatch").unwrap();
}
