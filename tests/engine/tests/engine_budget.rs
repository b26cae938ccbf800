//! Limits for the data that unauthenticated servers and slow receivers can make the engine hold or write. The tests
//! check the real engine program's memory, connections and log lines. Loopback only.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use harness::loopback::{
    CLOSED, DEADLINE, LOCAL, LoopbackError, ORDINARY, PEER, PEER_ADDRESS, World, eventually, until,
};
use harness::program::engine;
use harness::usage::resident;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::Initiator;
use s2s_peer::namespace::{DIALBACK, STREAMS};
use s2s_peer::server::Event;
use s2s_peer::stream::{Item, Stream};

/// `resident` returns KiB.
const MIB: u64 = 1024;

/// Shorter than the wait in the queue behind all silent connections.
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
    // More connections than one source may have, and they stay open.
    let silent: Vec<_> = (0..150).map(|_| connect()).collect();
    let identity = world.ground.authority.issue(&["peer.example"]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(Some(&identity), &roots).external().unwrap();
    stream.send("<message from='romeo@peer.example/r' to='juliet@local.example'/>").unwrap();
    world.backend.message().unwrap();
    let mut oldest = silent.first().unwrap();
    oldest.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(oldest.read(&mut [0]).unwrap(), 0, "the oldest made room");
    // One function counts the refusal, logs it and adds it to the evidence.
    assert!(world.count("connections_refused_total", &[]).unwrap() > 0);
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
    // Far more connections than the limit; each may take seconds until its request must arrive.
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

/// Little memory, so that a test needs few streams. The code of a program that is not optimised takes 30 MiB of it.
const MEMORY: u64 = 72 * MIB;

fn with_little_memory(config: &mut serde_json::Value) {
    config["limits"]["memoryBytes"] = (MEMORY * 1024).into();
}

/// The engine's memory, as the kernel reports it, is at most 80 % of its limit.
fn assert_within_the_budget(world: &World, what: &str) {
    let resident = resident(world.engine.pid()).unwrap();
    assert!(resident < MEMORY * 8 / 10, "{what}: {resident} KiB of {MEMORY}");
}

/// A peer that has done nothing wrong: its message arrives. Streams of other peers to the backend may end with errors
/// meanwhile.
fn assert_a_good_peer_is_served(world: &World) {
    let identity = world.ground.authority.issue(&["peer.example"]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(Some(&identity), &roots).external().unwrap();
    stream.send("<message from='romeo@peer.example/r' to='juliet@local.example'/>").unwrap();
    let arrived = |event| match event {
        Event::Stanza { from, .. } if from == "peer.example" => Some(()),
        _ => None,
    };
    while let Err(error) = world.backend.wait("the good peer's message", arrived) {
        assert!(!matches!(error, PeerError::Deadline { .. }), "{error}");
    }
}

/// Number of these streams that ended with that stream error. The others must be open.
fn ended_with(streams: Vec<Stream>, condition: &str) -> usize {
    let ended = streams.into_iter().filter_map(|mut stream| {
        stream.transport().set_patience(Duration::from_millis(10)).unwrap();
        match stream.receive("a stream error") {
            Ok(Item::Element(error)) => Some(error),
            Err(PeerError::Deadline { .. }) => None,
            other => panic!("{other:?}"),
        }
    });
    ended
        .inspect(|error| {
            assert!(error.is(STREAMS, "error"), "{error}");
            assert!(error.children.iter().any(|child| child.name == condition), "{error}");
        })
        .count()
}

#[test]
fn authenticated_streams_of_one_certificate_stay_within_the_budget() {
    const STREAMS_OPENED: usize = 1_000;
    let world =
        World::start_with(engine(), ORDINARY, |_, config| with_little_memory(config)).unwrap();
    let identity = world.ground.authority.issue(&["*.wild.example"]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let streams: Vec<_> = (0..STREAMS_OPENED)
        .filter_map(|number| {
            let from = format!("n{}.wild.example", number % 200);
            let way = Initiator { from: &from, ..world.from_peer(Some(&identity), &roots) };
            if number % 100 == 0 {
                assert_within_the_budget(&world, "while streams are opened");
            }
            // The engine may close one to make room while it is being opened.
            way.external().ok()
        })
        .collect();
    assert!(streams.len() > STREAMS_OPENED / 2, "{} were opened", streams.len());
    assert_a_good_peer_is_served(&world);
    assert_within_the_budget(&world, "all streams opened");
    // Counted last: more streams may end until freed memory has returned to the system.
    let ended = ended_with(streams, "resource-constraint");
    // Also as unauthenticated: the engine may choose a stream whose last step of authentication is on its way.
    let shed = ["Active", "Idle", "Unauthenticated"]
        .map(|what| world.count("shed_total", &[("what", what)]).unwrap())
        .iter()
        .sum::<u64>();
    assert!(ended > 0 && u64::try_from(ended).unwrap() <= shed, "{ended} ended, {shed} shed");
}

#[test]
fn connections_that_prove_nothing_stay_within_the_budget() {
    const CONNECTIONS: usize = 1_500;
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        with_little_memory(config);
        config["limits"]["unauthenticatedStreams"] = 10_000.into();
        config["timeouts"]["negotiationSeconds"] = 300.into();
    })
    .unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut streams = Vec::new();
    for number in 0..CONNECTIONS {
        // Opens the stream up to the features, inside TLS, and then sends nothing.
        if let Ok(opened) = world.from_peer(None, &roots).open() {
            streams.push(opened.stream);
        }
        if number % 100 == 0 {
            assert_within_the_budget(&world, "while connections are opened");
        }
    }
    assert_a_good_peer_is_served(&world);
    assert_within_the_budget(&world, "all connections opened");
    let shed = world.count("shed_total", &[("what", "Unauthenticated")]).unwrap();
    assert!(shed > 0);
    assert!(ended_with(streams, "resource-constraint") > 0);
}

#[test]
fn stanzas_for_slow_receivers_stay_within_the_budget() {
    const DOMAINS: usize = 60;
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        with_little_memory(config);
        // No server listens there: all stanzas wait.
        config["peerDefaults"] = serde_json::json!({"route": {"targets": ["127.0.0.2:1"]}});
        config["limits"]["queueBytes"] = (4 * 1024 * 1024).into();
    })
    .unwrap();
    let body = "x".repeat(9_000);
    let streams: Vec<_> = (0..DOMAINS)
        .map(|number| {
            let to = format!("d{number}.example");
            let mut stream = world.stream_from_backend(&to).unwrap();
            let message = format!("<message from='juliet@local.example/b' to='romeo@{to}'><body>{body}</body></message>");
            stream.send(message.repeat(100)).unwrap();
            assert_within_the_budget(&world, "while stanzas come");
            stream
        })
        .collect();
    assert_within_the_budget(&world, "all stanzas sent");
    let sent = u64::try_from(DOMAINS * 100).unwrap();
    eventually("every stanza has been looked at", &true, || {
        Ok(world.count("stanzas_received_total", &[("leg", "inner")])? >= sent)
    })
    .unwrap();
    assert!(world.count("stanzas_refused_total", &[("reason", "QueueFull")]).unwrap() > 0);
    assert_within_the_budget(&world, "all stanzas taken");
    drop(streams);
}

#[test]
fn the_engine_takes_all_descriptors_that_it_may_have_and_keeps_some_free() {
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["limits"]["connections"] = 64.into();
    })
    .unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.engine.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    assert_eq!(numbers.next(), numbers.next(), "soft and hard: {line}");
    let identity = world.ground.authority.issue(&["*.wild.example"]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    // Half of the connections, which is the limit of one source, and a stream to the backend for each.
    let streams: Vec<_> = (0..32)
        .filter_map(|number| {
            let from = format!("n{number}.wild.example");
            let way = Initiator { from: &from, ..world.from_peer(Some(&identity), &roots) };
            let message = format!("<message from='romeo@{from}/r' to='juliet@local.example'/>");
            // The engine may close one to make room while it is being opened.
            let mut stream = way.external().ok()?;
            stream.send(message).ok().map(|()| stream)
        })
        .collect();
    until("connections have made room", || {
        world.count("shed_total", &[]).unwrap() > 0
            && world.count("connections", &[]).unwrap() <= 51
    })
    .unwrap();
    assert_a_good_peer_is_served(&world);
    assert!(ended_with(streams, "resource-constraint") > 0);
}

/// After less time without a stanza, a stream counts as idle.
const IDLE_AFTER: Duration = Duration::from_secs(11);

#[test]
fn a_backend_that_opens_stream_after_stream_pays_with_its_own_streams() {
    const ROOMS: &str = "rooms.example";
    const QUIET: usize = 8;
    const FLOOD: usize = 100;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&[LOCAL, ROOMS]).unwrap();
        config["limits"]["connections"] = 64.into();
        let mut second = config["backends"][0].clone();
        second["name"] = "rooms".into();
        config["backends"].as_array_mut().unwrap().push(second);
        let domains = config["domains"].as_array_mut().unwrap();
        domains.push(serde_json::json!({"name": ROOMS, "backend": "rooms"}));
    })
    .unwrap();
    let roots = world.ground.backend_ca.roots().unwrap();
    let open = |from: &'static str, to: &str| {
        let identity = world.ground.backend_ca.issue(&[from]).unwrap();
        Initiator { from, ..world.from_backend(&identity, &roots, to) }.external()
    };
    let mut quiet: Vec<_> = (0..QUIET).map(|_| open(LOCAL, PEER).unwrap()).collect();
    // Nothing reports that they are idle now.
    thread::sleep(IDLE_AFTER);
    let mut flood: Vec<_> = (0..FLOOD)
        // The engine may close one to make room while it is being opened.
        .filter_map(|number| open(ROOMS, &format!("d{number}.example")).ok())
        .collect();
    until("connections have made room", || {
        world.count("shed_total", &[]).unwrap() > 0
            && world.count("connections", &[]).unwrap() <= 51
    })
    .unwrap();
    for (number, stream) in quiet.iter_mut().enumerate() {
        let (from, to) = (format!("juliet@{LOCAL}/b"), format!("romeo@{PEER}"));
        stream.send(format!("<message from='{from}' to='{to}' id='{number}'/>")).unwrap();
        let message = world.peer.message().unwrap();
        assert_eq!(message.attribute("id"), Some(number.to_string().as_str()));
    }
    assert_eq!(ended_with(quiet, "resource-constraint"), 0);
    let newest = flood.split_off(flood.len() - 5);
    assert_eq!(ended_with(newest, "resource-constraint"), 0, "the backend keeps its share");
    assert!(ended_with(flood, "resource-constraint") > 0);
}

/// Streams of the engine to the backend.
fn to_the_backend(world: &World) -> Result<u64, LoopbackError> {
    world.count("streams", &[("leg", "inner"), ("direction", "outbound")])
}

#[test]
fn a_wildcard_certificate_proves_few_names_and_they_leave_no_streams_to_the_backend() {
    const NAMES: usize = 256;
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        // A twentieth of this time applies if only errors come from the backend.
        config["timeouts"]["idleSeconds"] = 200.into();
    })
    .unwrap();
    let identity = world.ground.authority.issue(&["*.wild.example"]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let name = |number: usize| format!("n{number}.wild.example");
    let open = |number: usize| {
        let from = name(number);
        Initiator { from: &from, ..world.from_peer(Some(&identity), &roots) }.external()
    };
    let request = |number: usize| {
        format!("<db:result from='{}' to='local.example'>key</db:result>", name(number))
    };
    let mut streams = Vec::new();
    for first in (0..NAMES).step_by(64) {
        let mut stream = open(first).unwrap();
        for number in first + 1..first + 64 {
            stream.send(request(number)).unwrap();
            let answer = stream.expect(DIALBACK, "result", "the answer").unwrap();
            assert_eq!(answer.attribute("type"), Some("valid"), "{answer}");
        }
        streams.push(stream);
    }
    let refused = open(NAMES).unwrap_err().to_string();
    assert!(refused.contains("resource-constraint"), "{refused}");
    let before = to_the_backend(&world).unwrap();
    assert!(before <= 1, "no stream without a stanza but the engine's own ping: {before}");
    let stream = streams.first_mut().unwrap();
    for number in 0..10 {
        let from = name(number);
        stream.send(format!("<message from='romeo@{from}/r' to='juliet@local.example'/>")).unwrap();
        world.backend.message().unwrap();
    }
    assert!(to_the_backend(&world).unwrap() >= 10);
    // Earlier than without the bound: without it, they close after the longest wait.
    eventually("the streams that nobody answered are closed", &true, || {
        Ok(to_the_backend(&world)? <= before)
    })
    .unwrap();
    // The names are free again after their stream has ended.
    drop(streams);
    until("another name is taken", || open(NAMES).is_ok()).unwrap();
}

#[test]
fn streams_that_are_being_opened_count_as_connections_and_one_more_can_be_opened() {
    const SILENT: usize = 48;
    /// A quarter of the connections.
    const SHARE: usize = 16;
    // It accepts connections and sends nothing.
    let silent = TcpListener::bind((PEER_ADDRESS, 0)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["limits"]["connections"] = 64.into();
        // No error answer while the test runs: it would need streams to the backend.
        config["timeouts"]["negotiationSeconds"] = 300.into();
        config["peers"] = serde_json::json!([
            {"domain": "*.silent.example", "route": {"targets": [address]}}
        ]);
    })
    .unwrap();
    let to: Vec<_> = (0..SILENT).map(|number| format!("n{number}.silent.example")).collect();
    let identity = world.ground.backend_ca.issue(&[LOCAL]).unwrap();
    let roots = world.ground.backend_ca.roots().unwrap();
    let open = |to: &String| world.from_backend(&identity, &roots, to).external().unwrap();
    let message = |to: &str| format!("<message from='juliet@local.example/b' to='romeo@{to}'/>");
    // While there are too many connections, the backend's own streams beyond its share make room.
    let _streams: Vec<_> = to
        .iter()
        .map(|to| {
            let mut stream = open(to);
            stream.send(message(to)).unwrap();
            stream
        })
        .collect();
    let mut good = world.stream_from_backend(PEER).unwrap();
    let from_backend = || world.count("streams", &[("leg", "inner"), ("direction", "inbound")]);
    let connections = || world.count("connections", &[]);
    until("the streams to silent servers are counted, and no other stream can make room", || {
        connections().unwrap() > SILENT as u64 && from_backend().unwrap() <= SHARE as u64
    })
    .unwrap();
    good.send(message(PEER)).unwrap();
    world.peer.message().unwrap();
}
