//! What strangers and slow receivers can make the engine hold or write: the real engine program, its memory, places and log
//! lines. Loopback only.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::bench::usage::resident;
use tests::loopback::{CLOSED, DEADLINE, ORDINARY, World, eventually, until};
use tests::program::engine;

/// `resident` counts KiB.
const MIB: u64 = 1024;

/// Shorter than waiting in line behind all silent connections.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn small_stanzas_that_wait_do_not_hold_the_buffers_they_came_in() {
    const STANZAS: u64 = 1_000;
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    let before = resident(world.engine.pid()).unwrap();
    let gap = " ".repeat(64 * 1024);
    for id in 0..STANZAS {
        let message =
            format!("<message from='juliet@local.example/b' to='romeo@closed.example' id='{id}'/>");
        backend.send(message + &gap).unwrap();
    }
    eventually("all stanzas in the queue", &STANZAS, || world.count("stanzas_queued", &[]))
        .unwrap();
    let grown = resident(world.engine.pid()).unwrap().saturating_sub(before);
    assert!(grown < 24 * MIB, "{STANZAS} stanzas of 80 bytes hold {grown} KiB");
}

#[test]
fn silent_connections_do_not_lock_their_source_out() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let connect = || TcpStream::connect(world.ground.outer).unwrap();
    // More than a source may have, and they stay.
    let silent: Vec<_> = (0..150).map(|_| connect()).collect();
    let identity = world.ground.authority.issue(&["peer.example"]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(Some(&identity), &roots).external().unwrap();
    stream.send("<message from='romeo@peer.example/r' to='juliet@local.example'/>").unwrap();
    world.backend.message().unwrap();
    let mut oldest = silent.first().unwrap();
    oldest.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(oldest.read(&mut [0]).unwrap(), 0, "the oldest made room");
}

#[test]
fn refused_streams_of_one_source_write_few_lines_and_their_number() {
    const STREAMS: usize = 300;
    let world = World::start(engine(), ORDINARY).unwrap();
    for _ in 0..STREAMS {
        let mut tcp = TcpStream::connect(world.ground.outer).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.write_all(b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
            from='stranger.example' to='unknown.example' version='1.0'>").unwrap();
        tcp.read_to_end(&mut Vec::new()).unwrap();
    }
    let lines =
        || world.engine.log().lines().filter(|line| line.contains("stream refused")).count();
    until("every refusal is written or counted", || {
        let omitted = world.count("log_lines_omitted_total", &[]).unwrap_or_default();
        lines() + usize::try_from(omitted).unwrap() == STREAMS
    })
    .unwrap();
    assert!(lines() < STREAMS / 2, "{} lines", lines());
}

#[test]
fn probes_are_answered_beside_silent_connections() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let connect = || TcpStream::connect(world.ground.admin).unwrap();
    let begun = Instant::now();
    // Far more than the places; each may take seconds for its request.
    let silent: Vec<_> = (0..400).map(|_| connect()).collect();
    let mut probe = connect();
    probe.set_read_timeout(Some(DEADLINE)).unwrap();
    probe.write_all(b"GET /livez HTTP/1.1\r\nHost: engine\r\n\r\n").unwrap();
    let mut answer = String::new();
    probe.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(begun.elapsed() < PROBE_TIMEOUT, "answered after {:?}", begun.elapsed());
    drop(silent);
}
