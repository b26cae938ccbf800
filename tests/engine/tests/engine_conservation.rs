//! Conservation: every stanza that came in, or that the engine made, was relayed, answered, bounced or refused, or it
//! waits. An error that no receiver accepts yet blocks the sender that causes it, and is not dropped.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use harness::loopback::{CLOSED, DEADLINE, LOCAL, ORDINARY, PEER, World, until};
use harness::metrics::Metrics;
use harness::program::engine;
use serde_json::json;

#[derive(Debug)]
struct Account {
    incoming: u64,
    outgoing: u64,
    bounced: u64,
    refused: u64,
}

fn account(admin: SocketAddr) -> io::Result<Account> {
    let metrics = Metrics::of(admin)?;
    let of = |name| metrics.sum(name, &[]);
    let (bounced, refused) = (of("stanzas_bounced_total"), of("stanzas_refused_total"));
    Ok(Account {
        incoming: of("stanzas_received_total") + of("stanzas_generated_total"),
        outgoing: of("stanzas_relayed_total")
            + of("stanzas_answered_total")
            + bounced
            + refused
            + of("stanzas_queued"),
        bounced,
        refused,
    })
}

#[test]
fn what_came_in_went_somewhere_that_is_counted() {
    // An undeliverable stanza comes back soon.
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["timeouts"] = json!({"queueSeconds": 5});
    })
    .unwrap();

    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    for number in 0..20 {
        let to_local =
            format!("<message from='romeo@{PEER}/r' to='juliet@{LOCAL}' id='{number}'/>");
        peer.send(to_local).unwrap();
    }
    let backend_identity = world.ground.backend_ca.issue(&[LOCAL]).unwrap();
    let backend_roots = world.ground.backend_ca.roots().unwrap();
    // If a connection closes with unread data, it is reset and the engine loses its own unread input. So all
    // connections stay open.
    let mut open = Vec::new();
    for to in [PEER, CLOSED] {
        let mut backend =
            world.from_backend(&backend_identity, &backend_roots, to).external().unwrap();
        for number in 0..20 {
            let stanza = format!("<message from='juliet@{LOCAL}/b' to='x@{to}' id='{number}'/>");
            backend.send(stanza).unwrap();
        }
        open.push(backend);
    }
    // The engine refuses a stanza that the stream may not send, and ends the stream.
    peer.send(format!("<message from='x@{CLOSED}' to='juliet@{LOCAL}'/>")).unwrap();

    let begun = Instant::now();
    loop {
        let now = account(world.ground.admin).unwrap();
        let moved = now.bounced >= 20 && now.refused >= 1 && now.incoming >= 61;
        if moved && now.incoming == now.outgoing {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{now:?}");
        // Counters cannot announce a change.
        thread::sleep(Duration::from_millis(50));
    }
}

/// Maximum number of stanzas in the queue of a pair.
const ROOM: usize = 16;

fn message(from: &str, to: &str, id: usize) -> String {
    format!("<message from='x@{from}' to='y@{to}' id='{id}'/>")
}

/// Errors that the engine has dropped because there was no room for them.
fn dropped(world: &World) -> u64 {
    world.count("stanzas_refused_total", &[("reason", "UndeliverableError")]).unwrap()
}

#[test]
fn every_error_of_a_burst_comes_back_although_few_have_room() {
    const BURST: usize = 2_000;
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["timeouts"] = json!({"queueSeconds": 5});
        config["limits"] = json!({"queueStanzas": ROOM});
    })
    .unwrap();
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    let burst: String = (0..BURST).map(|id| message(LOCAL, CLOSED, id)).collect();
    backend.send(burst).unwrap();
    // The backend sends everything before it reads, like a busy backend: the errors need a stream of their own.
    let mut back = BTreeSet::new();
    while back.len() < BURST {
        let error = world.backend.message().unwrap();
        assert_eq!(error.attribute("type"), Some("error"), "{error}");
        let id = error.attribute("id").and_then(|id| id.parse::<usize>().ok()).unwrap();
        assert!(back.insert(id), "{error}");
    }
    assert_eq!(dropped(&world), 0);
}

#[test]
fn where_both_directions_of_a_pair_are_full_the_oldest_errors_give_way() {
    const EACH: usize = 2 * ROOM + 4;
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["timeouts"] = json!({"queueSeconds": 5});
        config["limits"] = json!({"queueStanzas": ROOM});
        // No server listens there.
        config["backends"][0]["server"]["host"] = json!("127.0.0.5");
    })
    .unwrap();
    let identity = world.ground.authority.issue(&[CLOSED]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut initiator = world.from_peer(Some(&identity), &roots);
    initiator.from = CLOSED;
    let mut peer = initiator.external().unwrap();
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    // Neither side is reachable, and each waits until the other side's errors are gone.
    peer.send((0..EACH).map(|id| message(CLOSED, LOCAL, id)).collect::<String>()).unwrap();
    backend.send((0..EACH).map(|id| message(LOCAL, CLOSED, id)).collect::<String>()).unwrap();
    let mut last = None;
    let settled = until("an outcome of every stanza", || {
        let received = world.count("stanzas_received_total", &[]).unwrap();
        let now = account(world.ground.admin).unwrap();
        let queued = world.count("stanzas_queued", &[]).unwrap();
        let all = received >= 2 * EACH as u64 && queued == 0 && now.incoming == now.outgoing;
        last = Some((now, queued));
        all
    });
    assert!(settled.is_ok(), "{last:?}");
    assert_eq!(dropped(&world), 0, "{last:?}");
}
