//! Conservation: every stanza that came in, or that the engine made, was relayed, answered, bounced, refused, or waits.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tests::loopback::{CLOSED, DEADLINE, LOCAL, ORDINARY, PEER, World};
use tests::metrics::Metrics;
use tests::program::engine;

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
    // What cannot be delivered comes back soon.
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["timeouts"] = serde_json::json!({"queueSeconds": 5});
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
    // A connection that is closed with something unread is reset, and what the engine had not read is gone: all stay open.
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
    // A stanza that the stream has no right to send is refused, and ends the stream.
    peer.send(format!("<message from='x@{CLOSED}' to='juliet@{LOCAL}'/>")).unwrap();

    let begun = Instant::now();
    loop {
        let now = account(world.ground.admin).unwrap();
        let moved = now.bounced >= 20 && now.refused >= 1 && now.incoming >= 61;
        if moved && now.incoming == now.outgoing {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{now:?}");
        // Counters have no other announcement.
        thread::sleep(Duration::from_millis(50));
    }
}
