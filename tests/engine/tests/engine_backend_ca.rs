//! The replacement of the backend CA while the engine runs: the last CA signs until the time of the new one, no stream is
//! closed, and unusable files change nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::fs;
use std::sync::Arc;

use harness::loopback::{LOCAL, ORDINARY, PEER, World, until};
use harness::program::engine;
use rustls::RootCertStore;
use s2s_peer::authority::Authority;
use s2s_peer::stream::Stream;
use serde_json::json;

/// An engine that trusts the backend's certificate whatever CA signs for it.
fn world() -> World {
    World::start_with(engine(), ORDINARY, |ground, config| {
        ground.write("trust.crt", &ground.backend_ca.certificate_pem()).unwrap();
        let file = |name: &str| ground.path(name).display().to_string();
        config["backendCa"]["signsFromFile"] = json!(file("signs-from"));
        config["backends"][0]["server"]["trust"]["bundles"] = json!([file("trust.crt")]);
    })
    .unwrap()
}

/// A stream from the backend to the engine as the peer, if the backend trusts the engine's certificate.
fn stream(world: &World, trusted: &Arc<RootCertStore>) -> Option<Stream> {
    let identity = world.ground.backend_ca.issue(&[LOCAL]).unwrap();
    world.from_backend(&identity, trusted, PEER).external().ok()
}

fn install(world: &World, ca: &Authority, signs_from: &str) {
    world.ground.write("signs-from", signs_from).unwrap();
    world.ground.write("backend-ca.key", &ca.key_pem()).unwrap();
    world.ground.write("backend-ca.crt", &ca.certificate_pem()).unwrap();
}

fn reloads(world: &World) -> usize {
    world.engine.log().matches("configuration reloaded").count()
}

#[test]
fn a_new_ca_signs_from_its_time_on_and_no_stream_is_closed() {
    let world = world();
    let old = world.ground.backend_ca.roots().unwrap();
    let mut kept = stream(&world, &old).unwrap();
    let ca = Authority::new("Next backend CA").unwrap();
    let new = ca.roots().unwrap();
    install(&world, &ca, "2999-01-01T00:00:00Z");
    until("a reload", || reloads(&world) > 0).unwrap();
    assert!(stream(&world, &old).is_some(), "the last CA signs");
    assert!(stream(&world, &new).is_none(), "backends may not trust the new one yet");

    world.ground.write("signs-from", "2020-01-01T00:00:00Z").unwrap();
    until("the new CA", || stream(&world, &new).is_some()).unwrap();
    assert!(stream(&world, &old).is_none());
    kept.send(format!("<message from='juliet@{LOCAL}' to='romeo@{PEER}' id='m1'/>")).unwrap();
    assert_eq!(world.peer.message().unwrap().attribute("id"), Some("m1"));
}

#[test]
fn without_its_files_the_engine_continues_to_sign() {
    let world = world();
    let trusted = world.ground.backend_ca.roots().unwrap();
    let mut kept = stream(&world, &trusted).unwrap();
    for file in ["backend-ca.crt", "backend-ca.key"] {
        fs::remove_file(world.ground.path(file)).unwrap();
    }
    until("the problem", || world.engine.log().contains("backend-ca")).unwrap();
    until("a reload", || reloads(&world) > 0).unwrap();
    assert!(stream(&world, &trusted).is_some());
    kept.send(format!("<message from='juliet@{LOCAL}' to='romeo@{PEER}' id='m2'/>")).unwrap();
    assert_eq!(world.peer.message().unwrap().attribute("id"), Some("m2"));
}

#[test]
fn certificates_for_one_domain_have_a_limit_that_is_counted() {
    let world = world();
    let minted = |result: &str| world.count("minted_certificates_total", &[("result", result)]);
    let trusted = world.ground.backend_ca.roots().unwrap();
    assert!(stream(&world, &trusted).is_some());
    assert!(minted("Minted").unwrap() >= 1);
    // Each new CA needs a new certificate; the limit outlives the reloads.
    let mut refused = false;
    for number in 0..40 {
        let ca = Authority::new("Another backend CA").unwrap();
        let before = reloads(&world);
        install(&world, &ca, "2020-01-01T00:00:00Z");
        until("a reload", || reloads(&world) > before).unwrap();
        let _ = stream(&world, &ca.roots().unwrap());
        refused = minted("DomainTooFast").unwrap() > 0;
        if refused {
            assert!(number >= 8, "refused after {number}");
            break;
        }
    }
    assert!(refused, "{}", world.engine.log());
    assert_eq!(minted("TooFast").unwrap(), 0);
}
