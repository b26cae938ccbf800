//! Conservation: every stanza that came in, or that the engine made, was relayed, answered, bounced, refused, or waits.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tests::engine::get;
use tests::loopback::{CLOSED, LOCAL, ORDINARY, PATIENCE, PEER, World};
use tests::program::engine;

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let name = format!("xmpp_federation_{name}");
    let of = |line: &str| {
        let rest = line.strip_prefix(&name)?;
        if !rest.starts_with('{') && !rest.starts_with(' ') {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    };
    metrics.lines().filter_map(of).sum()
}

#[derive(Debug)]
struct Account {
    incoming: f64,
    outgoing: f64,
    bounced: f64,
    refused: f64,
}

fn account(admin: SocketAddr) -> Account {
    let metrics = get(admin, "/metrics").unwrap_or_default();
    let of = |name| sum(&metrics, name);
    let (bounced, refused) = (of("stanzas_bounced_total"), of("stanzas_refused_total"));
    Account {
        incoming: of("stanzas_received_total") + of("stanzas_generated_total"),
        outgoing: of("stanzas_relayed_total")
            + of("stanzas_answered_total")
            + bounced
            + refused
            + of("stanzas_queued"),
        bounced,
        refused,
    }
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
    for to in [PEER, CLOSED] {
        let mut backend =
            world.from_backend(&backend_identity, &backend_roots, to).external().unwrap();
        for number in 0..20 {
            let stanza = format!("<message from='juliet@{LOCAL}/b' to='x@{to}' id='{number}'/>");
            backend.send(stanza).unwrap();
        }
    }
    // A stanza that the stream has no right to send is refused, and ends the stream.
    peer.send(format!("<message from='x@{CLOSED}' to='juliet@{LOCAL}'/>")).unwrap();

    let begun = Instant::now();
    loop {
        let now = account(world.ground.admin);
        let moved = now.bounced >= 20.0 && now.refused >= 1.0 && now.incoming >= 61.0;
        if moved && (now.incoming - now.outgoing).abs() < f64::EPSILON {
            break;
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "{now:?}");
        // Counters have no other announcement.
        thread::sleep(Duration::from_millis(50));
    }
}
