//! Memory of the real engine program: for a connection and for a stream, and after a peak. Loopback only.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::sync::Arc;
use std::thread;

use harness::loopback::{ORDINARY, World, eventually, until};
use harness::program::engine;
use harness::usage::{anonymous, resident};
use rustls::RootCertStore;
use s2s_peer::authority::Identity;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::stream::Stream;

/// Maximum bytes of an unauthenticated connection, without and with TLS, and of an idle authenticated stream.
const MAX_TCP: u64 = 8_000;
const MAX_TLS: u64 = 20_000;
const MAX_IDLE: u64 = 20_000;

/// Streams with the engine whose memory is measured.
struct Measured {
    world: World,
    identity: Identity,
    roots: Arc<RootCertStore>,
}

impl Measured {
    fn new() -> Self {
        let world = World::start_with(engine(), ORDINARY, |_, config| {
            config["limits"]["unauthenticatedStreams"] = 10_000.into();
            config["peerDefaults"] = serde_json::json!({"tls": {"mode": "Optional"}});
            config["timeouts"]["negotiationSeconds"] = 300.into();
        })
        .unwrap();
        let identity = world.ground.authority.issue(&["*.wild.example"]).unwrap();
        let roots = world.ground.authority.roots().unwrap();
        Self { world, identity, roots }
    }

    fn open(&self, number: u64, security: Security) -> Stream {
        let from = wild(number);
        let way = self.world.from_peer(None, &self.roots);
        Initiator { from: &from, security, ..way }.open().unwrap().stream
    }

    fn authenticated(&self, number: u64) -> Stream {
        let from = wild(number);
        let way = self.world.from_peer(Some(&self.identity), &self.roots);
        Initiator { from: &from, ..way }.external().unwrap()
    }

    /// Bytes that the engine has allocated for each of these streams, which stay open.
    fn bytes_of_each(&self, open: impl Fn(u64) -> Stream) -> (u64, Vec<Stream>) {
        const COUNT: u64 = 600;
        // Objects that are allocated once, for the first stream of its kind.
        let first = open(0);
        let before = anonymous(self.world.engine.pid()).unwrap();
        let streams = (0..COUNT).map(open).collect();
        let after = anonymous(self.world.engine.pid()).unwrap();
        drop(first);
        (after.saturating_sub(before) * 1024 / COUNT, streams)
    }
}

/// Domains of the streams that are measured.
const NAMES: u64 = 64;

/// A domain that has few streams of its own.
fn wild(number: u64) -> String {
    format!("n{}.wild.example", number % NAMES)
}

#[test]
fn a_connection_that_is_not_authenticated_holds_little() {
    let measured = Measured::new();
    let (tcp, _open) = measured.bytes_of_each(|number| measured.open(number, Security::Plain));
    let (tls, _open) = measured.bytes_of_each(|number| measured.open(number, Security::StartTls));
    println!("bytes of a connection that is not authenticated: TCP {tcp}, TLS {tls}");
    assert!(tcp <= MAX_TCP && tls <= MAX_TLS, "TCP {tcp}, TLS {tls}");
}

#[test]
fn an_idle_stream_holds_little_also_after_it_was_busy() {
    let measured = Measured::new();
    let (idle, mut streams) = measured.bytes_of_each(|number| measured.authenticated(number));
    println!("bytes of an idle stream: {idle}");
    assert!(idle <= MAX_IDLE, "{idle}");
    let counted = || measured.world.count("memory_counted_bytes", &[]);
    let before = counted().unwrap();
    let body = "x".repeat(2_000);
    for (number, stream) in (0..).zip(&mut streams) {
        let from = wild(number);
        let message = format!(
            "<message from='romeo@{from}/r' to='juliet@local.example'><body>{body}</body></message>"
        );
        stream.send(message.repeat(20)).unwrap();
    }
    for _ in 0..streams.len() * 20 {
        measured.world.backend.message().unwrap();
    }
    let busy = counted().unwrap();
    assert!(busy > before, "{busy} {before}");
    // The streams to the backend add to this: one for each domain.
    let most = before + NAMES * MAX_IDLE * 2;
    eventually("the buffers of busy streams are given back", &true, || Ok(counted()? < most))
        .unwrap();
}

/// Opens that many streams, a few at a time.
fn all_of(count: u64, open: &(impl Fn(u64) -> Stream + Sync)) -> Vec<Stream> {
    const THREADS: usize = 4;
    thread::scope(|scope| {
        let share = |first| move || (first..count).step_by(THREADS).map(open).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|first| scope.spawn(share(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn the_memory_of_a_peak_goes_back_to_the_system() {
    const COUNT: u64 = 1_500;
    let measured = Measured::new();
    let engine = measured.world.engine.pid();
    let way = measured.world.from_peer(None, &measured.roots);
    let identity = &measured.identity;
    // Every second stream does not authenticate.
    let open = |number: u64| {
        let from = wild(number);
        let way = Initiator { from: &from, ..way.clone() };
        if number.is_multiple_of(2) {
            Initiator { identity: Some(identity), ..way }.external().unwrap()
        } else {
            way.open().unwrap().stream
        }
    };
    // Objects that are allocated once.
    drop(all_of(8, &open));
    let gone = || measured.world.count("connections", &[]).unwrap() <= 2;
    until("the first streams are gone", gone).unwrap();
    let before = resident(engine).unwrap();
    let streams = all_of(COUNT, &open);
    let peak = resident(engine).unwrap();
    drop(streams);
    until("all streams are gone", gone).unwrap();
    let mut after = 0;
    let returned = until("the memory is returned", || {
        after = resident(engine).unwrap();
        after <= before + before / 5
    });
    println!("resident KiB: before {before}, peak {peak}, after {after}");
    returned.unwrap();
}
