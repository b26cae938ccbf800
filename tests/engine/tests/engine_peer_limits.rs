//! Limits of the configuration for one peer (`peers[].limits`), and many domains of one server at once: the real engine
//! program on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use harness::loopback::{
    CLOSED, DEADLINE, ORDINARY, PEER, PEER_ADDRESS, World, eventually, secret_of, until,
};
use harness::program::engine;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::Identity;
use s2s_peer::initiator::Initiator;
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use serde_json::{Value, json};

fn limited(limits: &Value) -> World {
    World::start_with(engine(), ORDINARY, |_, config| {
        config["peers"] = json!([{"domain": PEER, "limits": limits}]);
    })
    .unwrap()
}

fn message(id: usize) -> String {
    format!("<message from='romeo@peer.example/r' to='juliet@local.example' id='{id}'/>")
}

fn ids(world: &World, count: usize) -> Vec<usize> {
    let id = |_| world.backend.message().unwrap().attribute("id").unwrap().parse().unwrap();
    (0..count).map(id).collect()
}

fn stream_of(world: &World, identity: &Identity) -> Stream {
    let roots = world.ground.authority.roots().unwrap();
    world.from_peer(Some(identity), &roots).external().unwrap()
}

fn reached(world: &World, limit: &str, enforcement: &str) -> u64 {
    let labels = [("limit", limit), ("enforcement", enforcement)];
    world.count("peer_limit_reached_total", &labels).unwrap()
}

#[test]
fn a_peer_that_sends_faster_than_it_may_is_read_slowly_and_loses_nothing() {
    let world = limited(&json!({"stanzasPerSecond": 50}));
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let mut stream = stream_of(&world, &identity);
    let begun = Instant::now();
    stream.send((0..150).map(message).collect::<String>()).unwrap();
    assert_eq!(ids(&world, 150), (0..150).collect::<Vec<_>>());
    // The stanzas of one second arrive at once, the rest in two seconds. A busy machine can only take longer.
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1_900), "{took:?}");
    let pauses = reached(&world, "stanzasPerSecond", "Enforce");
    assert!((5..=30).contains(&pauses), "{pauses} pauses");
}

#[test]
fn a_dry_run_counts_and_holds_nobody_up() {
    let world = limited(&json!({"stanzasPerSecond": 50, "streams": 1, "enforcement": "DryRun"}));
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let (_first, mut second) = (stream_of(&world, &identity), stream_of(&world, &identity));
    second.send((0..150).map(message).collect::<String>()).unwrap();
    assert_eq!(ids(&world, 150), (0..150).collect::<Vec<_>>());
    for limit in ["streams", "stanzasPerSecond"] {
        assert!(reached(&world, limit, "DryRun") > 0, "{limit}");
        assert_eq!(reached(&world, limit, "Enforce"), 0, "{limit}");
    }
}

#[test]
fn a_stream_too_many_is_not_read_until_another_one_ends() {
    let world = limited(&json!({"streams": 1}));
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let (mut first, mut second) = (stream_of(&world, &identity), stream_of(&world, &identity));
    assert_eq!(reached(&world, "streams", "Enforce"), 1);
    second.send(message(2)).unwrap();
    first.send(message(1)).unwrap();
    assert_eq!(ids(&world, 1), [1], "what was sent first waits");
    first.close().unwrap();
    assert_eq!(ids(&world, 1), [2]);
    second.close().unwrap();
}

#[test]
fn the_largest_stanza_of_a_peer_is_its_own() {
    let world = limited(&json!({"stanzaBytes": 20_000}));
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let mut stream = stream_of(&world, &identity);
    let large = |bytes| {
        let body = "x".repeat(bytes);
        format!(
            "<message from='romeo@peer.example/r' to='juliet@local.example' id='7'><body>{body}</body></message>"
        )
    };
    stream.send(large(20_000) + &large(15_000)).unwrap();
    assert_eq!(ids(&world, 1), [7]);
    let refused = [("reason", "TooLarge")];
    assert_eq!(world.count("stanzas_refused_total", &refused).unwrap(), 1);
}

/// An engine, and the server of `*.hoster.example`. Every peer's route leads to that server.
fn hosted() -> (World, Option<Server>) {
    let mut hoster = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        let acceptor = Acceptor {
            domain: "hoster.example".to_owned(),
            identity: ground.authority.issue(&["*.hoster.example"]).unwrap(),
            roots: ground.authority.roots().unwrap(),
            proof: Proof::Certificate,
            secret: secret_of("hoster.example"),
            timeout: DEADLINE,
        };
        let server = Server::start((PEER_ADDRESS, 0).into(), acceptor).unwrap();
        config["peerDefaults"] = json!({"route": {"targets": [server.address().to_string()]}});
        // Both ends of all streams use the CPU of the same machine.
        config["timeouts"] = json!({"negotiationSeconds": 200, "dialbackSeconds": 200});
        hoster = Some(server);
    })
    .unwrap();
    (world, hoster)
}

#[test]
fn all_domains_of_a_hoster_that_reconnect_at_once_are_served() {
    const DOMAINS: usize = 200;
    let (world, _hoster) = hosted();
    let roots = world.ground.authority.roots().unwrap();
    let way = world.from_peer(None, &roots);
    let streams: Vec<Stream> = thread::scope(|scope| {
        let open = |number| {
            let way = &way;
            scope.spawn(move || {
                let from = format!("d{number}.hoster.example");
                let way = Initiator { from: &from, ..way.clone() };
                way.dialback(&secret_of("hoster.example"))
            })
        };
        let opening: Vec<_> = (0..DOMAINS).map(open).collect();
        opening.into_iter().map(|stream| stream.join().unwrap().unwrap()).collect()
    });
    let open = u64::try_from(streams.len()).unwrap();
    eventually("all streams are open", &open, || {
        world.count("streams", &[("leg", "outer"), ("direction", "inbound")])
    })
    .unwrap();
    assert_eq!(world.count("connections_refused_total", &[]).unwrap(), 0);
}

#[test]
fn all_domains_that_one_stream_proves_at_once_wait_for_their_turn() {
    const DOMAINS: usize = 40;
    let (world, _hoster) = hosted();
    let roots = world.ground.authority.roots().unwrap();
    let secret = secret_of("hoster.example");
    let from = "d0.hoster.example";
    let way = Initiator { from, ..world.from_peer(None, &roots) };
    let opened = way.open().unwrap();
    let (mut stream, id) = (opened.stream, opened.id);
    s2s_peer::dialback::authenticate(&mut stream, &secret, from, "local.example", &id).unwrap();
    let request = |number| {
        let from = format!("d{number}.hoster.example");
        let key = secret.key("local.example", &from, &id);
        format!("<db:result from='{from}' to='local.example'>{key}</db:result>")
    };
    let requests = (1..DOMAINS).map(request).collect::<Vec<_>>().concat();
    stream.send(requests).unwrap();
    for _ in 1..DOMAINS {
        let answer = stream.element("the answer to a dialback key").unwrap();
        assert_eq!(answer.attribute("type"), Some("valid"), "{answer}");
    }
}

/// Log lines about the streams of a peer, and lines that were omitted.
fn lines(world: &World, domain: &str) -> (usize, usize) {
    let of_stream = |line: &&str| {
        line.contains(domain)
            && (line.contains("stream authorised") || line.contains("stream ended"))
    };
    let written = world.engine.log().lines().filter(of_stream).count();
    let omitted = world.count("log_lines_omitted_total", &[]).unwrap_or_default();
    (written, usize::try_from(omitted).unwrap())
}

#[test]
fn log_lines_about_a_peer_that_opens_stream_after_stream_are_bounded_and_the_rest_is_counted() {
    const STREAMS: usize = 100;
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    for _ in 0..STREAMS {
        stream_of(&world, &identity).close().unwrap();
    }
    // Each stream has a line when it is authorised and one when it ends.
    until("every line is written or counted", || {
        let (written, omitted) = lines(&world, PEER);
        written + omitted >= 2 * STREAMS
    })
    .unwrap();
    let (written, _) = lines(&world, PEER);
    assert!(written < STREAMS, "{written} lines\n{}", world.engine.log());
    assert!(world.engine.log().contains("omitted="), "{}", world.engine.log());
}

#[test]
fn log_lines_about_a_peer_that_breaks_stream_after_stream_are_bounded_and_the_rest_is_counted() {
    const STREAMS: usize = 60;
    let world = World::start(engine(), ORDINARY).unwrap();
    let acceptor = world.acceptor(CLOSED).unwrap();
    let listener = TcpListener::bind(world.closed).unwrap();
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let Ok(Some(mut session)) = acceptor.accept(tcp) else { return };
            // The server accepts one stanza, so the engine reconnects at once.
            let Ok(_) = session.stream.element("a stanza") else { return };
            let _ = session.stream.send("<a xmlns='urn:x'/>");
            let _ = session.stream.close();
        }
    });
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    let open = || world.count("streams", &[("leg", "outer"), ("direction", "outbound")]).unwrap();
    let relayed = || world.count("stanzas_relayed_total", &[("leg", "outer")]).unwrap();
    for id in 0..STREAMS {
        let to = format!("<message from='juliet@local.example/b' to='romeo@{CLOSED}' id='{id}'/>");
        backend.send(to).unwrap();
        let sent = u64::try_from(id).unwrap() + 1;
        until("the end of the stream", || relayed() == sent && open() == 0).unwrap();
    }
    until("every line is written or counted", || {
        let (written, omitted) = lines(&world, CLOSED);
        written + omitted >= 2 * STREAMS
    })
    .unwrap();
    let (written, _) = lines(&world, CLOSED);
    assert!(written < STREAMS, "{written} lines\n{}", world.engine.log());
}

#[test]
fn strangers_do_not_keep_back_the_log_lines_about_a_peer_of_the_same_network() {
    const STRANGERS: usize = 100;
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut peer = stream_of(&world, &identity);
    for _ in 0..STRANGERS {
        let stranger = Initiator { to: "unknown.example", ..world.from_peer(None, &roots) };
        stranger.open().unwrap_err();
    }
    until("lines are left out", || lines(&world, PEER).1 > 0).unwrap();
    peer.send("<!-- no comment -->").unwrap();
    peer.element("the end of the stream").unwrap_err();
    until("the cause in the log", || world.engine.log().contains("invalid input refused")).unwrap();
}
