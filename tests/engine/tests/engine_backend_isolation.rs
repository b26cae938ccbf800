//! A backend that is slow, that floods the engine or that sends garbage costs the domains of another backend nothing:
//! all of their stanzas arrive. Progress is counted; no time is measured.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use harness::loopback::{LOCAL, ORDINARY, PEER, World, until};
use harness::program::engine;
use s2s_peer::initiator::Initiator;
use s2s_peer::server::{Event, Server};
use serde_json::{Value, json};

const ROOMS: &str = "rooms.example";
const ROOMS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// Stanzas of the domains of the good backend, in each direction.
const STANZAS: usize = 200;

/// The engine in front of the backend of [`LOCAL`] and of a second one for [`ROOMS`], which listens there.
fn world(rooms: &TcpListener) -> World {
    world_with(rooms, |_| {})
}

/// The same with another configuration.
fn world_with(rooms: &TcpListener, change: impl FnOnce(&mut Value)) -> World {
    let address = rooms.local_addr().unwrap();
    World::start_with(engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&[LOCAL, ROOMS]).unwrap();
        let mut second = config["backends"][0].clone();
        second["name"] = json!("rooms");
        second["server"]["host"] = json!(address.ip().to_string());
        second["server"]["port"] = json!(address.port());
        config["backends"].as_array_mut().unwrap().push(second);
        let domains = config["domains"].as_array_mut().unwrap();
        domains.push(json!({"name": ROOMS, "backend": "rooms"}));
        change(config);
    })
    .unwrap()
}

fn listener() -> TcpListener {
    TcpListener::bind((ROOMS_ADDRESS, 0)).unwrap()
}

/// Waits until all good stanzas have arrived at the server.
fn all_arrive(server: &Server) {
    let mut left: HashSet<usize> = (0..STANZAS).collect();
    while !left.is_empty() {
        let number = server.wait("a stanza of the good backend", |event| match event {
            Event::Stanza { stanza, .. } => {
                stanza.attribute("id")?.strip_prefix("good-")?.parse().ok()
            }
            _ => None,
        });
        left.remove(&number.unwrap());
    }
}

fn good(from: &str, to: &str) -> String {
    let one =
        |n| format!("<message from='a@{from}' to='b@{to}' id='good-{n}'><body>Hi</body></message>");
    (0..STANZAS).map(one).collect()
}

/// All stanzas of the good backend's domain arrive, in both directions.
fn the_other_backend_goes_on(world: &World) {
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut inbound = world.from_peer(Some(&identity), &roots).external().unwrap();
    let mut outbound = world.stream_from_backend(PEER).unwrap();
    inbound.send(good(PEER, LOCAL)).unwrap();
    outbound.send(good(LOCAL, PEER)).unwrap();
    all_arrive(&world.backend);
    all_arrive(&world.peer);
}

/// Does something in a thread until it is dropped.
struct Meanwhile {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meanwhile {
    fn run(mut action: impl FnMut() -> bool + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || while !stopped.load(Ordering::Relaxed) && action() {});
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_backend_that_reads_nothing() {
    let rooms = listener();
    let world = world(&rooms);
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let trusted = world.ground.authority.roots().unwrap();
    let initiator = Initiator { to: ROOMS, ..world.from_peer(Some(&identity), &trusted) };
    let mut stream = initiator.external().unwrap();
    // The kernel accepts the engine's connections; nobody reads them.
    let body = "x".repeat(1024);
    let message =
        format!("<message from='a@{PEER}' to='b@{ROOMS}' id='bad'><body>{body}</body></message>");
    let message = message.repeat(64);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let flood = Meanwhile::run(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        stream.send(&message).is_ok()
    });
    until("a part of the flood", || sent.load(Ordering::Relaxed) > 8).unwrap();
    the_other_backend_goes_on(&world);
    // The engine does not read the flood any more; its end ends the sender.
    drop(world);
    drop(flood);
}

#[test]
fn a_backend_that_answers_with_garbage_and_sends_garbage() {
    let rooms = listener();
    let garbage = rooms.try_clone().unwrap();
    garbage.set_nonblocking(true).unwrap();
    let answers = Meanwhile::run(move || {
        if let Ok((mut connection, _)) = garbage.accept() {
            let _ = connection.write_all(&[0xff; 4096]);
            let _ = connection.write_all(b"<stream:stream><![CDATA[<<<>>>&&&");
        } else {
            thread::yield_now();
        }
        true
    });
    let world = world(&rooms);
    let inner = world.ground.inner;
    let sends = Meanwhile::run(move || {
        if let Ok(mut connection) = TcpStream::connect(inner) {
            let _ = connection.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = connection.write_all(b"<?xml version='1.0'?><stream:stream \x00\x01<<<");
            let _ = connection.read(&mut [0; 512]);
        }
        true
    });
    the_other_backend_goes_on(&world);
    drop((answers, sends));
}

#[test]
fn a_backend_that_floods_the_engine() {
    let rooms = listener();
    let world = world(&rooms);
    let identity = world.ground.backend_ca.issue(&[ROOMS]).unwrap();
    let trusted = world.ground.backend_ca.roots().unwrap();
    let initiator = Initiator { from: ROOMS, ..world.from_backend(&identity, &trusted, PEER) };
    let mut stream = initiator.external().unwrap();
    let message =
        format!("<message from='a@{ROOMS}' to='b@{PEER}' id='flood'><body>x</body></message>");
    let message = message.repeat(32);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let flood = Meanwhile::run(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        stream.send(&message).is_ok()
    });
    until("a part of the flood", || sent.load(Ordering::Relaxed) > 64).unwrap();
    the_other_backend_goes_on(&world);
    drop(world);
    drop(flood);
}

#[test]
fn what_waits_for_a_backend_that_reads_nothing_is_bounded() {
    const WAITING: u64 = 16;
    let rooms = listener();
    let limits = json!({"queueStanzas": WAITING});
    let world = world_with(&rooms, |config| config["limits"] = limits);
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let trusted = world.ground.authority.roots().unwrap();
    let initiator = Initiator { to: ROOMS, ..world.from_peer(Some(&identity), &trusted) };
    let mut stream = initiator.external().unwrap();
    stream.transport().set_patience(Duration::from_secs(3)).unwrap();
    let message =
        format!("<message from='a@{PEER}' to='b@{ROOMS}' id='w'><body>x</body></message>");
    let message = message.repeat(1_000);
    // The engine stops reading, and the buffers of the connection fill.
    let mut sent = 0;
    while stream.send(&message).is_ok() {
        sent += 1_000;
        assert!(sent < 1_000_000, "the engine reads on");
    }
    let waiting = world.count("stanzas_queued", &[]).unwrap();
    // One stanza more waits for room, and a few pings of the engine itself wait for their backends.
    assert!((WAITING..WAITING + 8).contains(&waiting), "{waiting} of {sent} wait");
    the_other_backend_goes_on(&world);
}
