//! Delivery of a stanza if its receiver is not simply available: the real engine program between scripted servers that
//! are down, come back and break. Loopback only.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use harness::claim;
use harness::evidence::{self, CONTROL_NAME, TOKEN};
use harness::loopback::{
    CLOSED, DEADLINE, Ground, LOCAL, LoopbackError, ORDINARY, PEER, World, eventually, secret_of,
    until,
};
use harness::program::engine;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::element::Element;
use s2s_peer::error::{PeerError, Result as PeerResult};
use s2s_peer::expiring::expiring;
use s2s_peer::initiator::Initiator;
use s2s_peer::listener::Listener;
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::namespace::{SERVER, STANZA_ERRORS};
use s2s_peer::redirecting::Redirecting;
use s2s_peer::server::{Event, Server};
use s2s_peer::signer::Signer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TO_LOCAL: &str = "<message from='romeo@peer.example/r' to='juliet@local.example' id='m1'><body>Hi</body></message>";

fn to(domain: &str, id: impl std::fmt::Display, body: &str) -> String {
    format!(
        "<message from='juliet@{LOCAL}/b' to='tybalt@{domain}' id='{id}' type='chat'>\
         <body>{body}</body></message>"
    )
}

/// Type and condition of a bounce.
fn error(bounce: &Element) -> Option<(&str, &str)> {
    let error = bounce.child(SERVER, "error")?;
    let condition = error.children.iter().find(|child| child.namespace == STANZA_ERRORS)?;
    Some((error.attribute("type")?, &condition.name))
}

#[test]
fn what_waits_for_a_server_that_is_down_arrives_in_order_when_it_is_back() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    for id in 0..5 {
        stream.send(to(CLOSED, id, "?")).unwrap();
    }
    until("failed attempts", || {
        world.count("dials_total", &[("result", "ConnectRefused")]).unwrap() >= 2
    })
    .unwrap();
    eventually("all stanzas in the queue", &5, || world.count("stanzas_queued", &[])).unwrap();

    let back = Server::start(world.closed, world.acceptor(CLOSED).unwrap()).unwrap();
    for id in 0..5 {
        let arrived = back.message().unwrap();
        assert_eq!(arrived.attribute("id"), Some(id.to_string().as_str()), "{arrived}");
    }
    let bounced =
        |event: &Event| matches!(event, Event::Stanza { stanza, .. } if stanza.name == "message");
    assert!(!world.backend.events().iter().any(bounced));
}

#[test]
fn a_stanza_for_a_domain_that_does_not_exist_comes_back_at_once() {
    // If the engine held it like a stanza that may still arrive, it would come back only after the wait.
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["timeouts"] = json!({"queueSeconds": DEADLINE.as_secs() * 4});
    })
    .unwrap();
    let mut stream = world.stream_from_backend("nowhere.example").unwrap();
    for id in ["first", "second"] {
        stream.send(to("nowhere.example", id, "?")).unwrap();
        let bounce = world.backend.message().unwrap();
        assert_eq!(bounce.attribute("id"), Some(id));
        assert_eq!(error(&bounce), Some(("cancel", "remote-server-not-found")), "{bounce}");
    }
}

/// Reports of a server that breaks its streams.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// This stanza arrived on the stream with that number.
    Stanza { stream: usize, id: u32 },
    /// The stream with that number was broken.
    Broken { stream: usize },
}

/// A server of [`CLOSED`] that breaks each of the first `broken` streams after `each` stanzas, without a stream error.
fn breaking(world: &World, broken: usize, each: usize) -> PeerResult<Receiver<Seen>> {
    let acceptor = world.acceptor(CLOSED)?;
    let listener = TcpListener::bind(world.closed).map_err(PeerError::io("listening"))?;
    let (sender, seen) = channel();
    thread::spawn(move || {
        // The engine and the receiver of these reports end with the test.
        for (stream, tcp) in listener.incoming().flatten().enumerate() {
            let Ok(Some(mut session)) = acceptor.accept(tcp) else { return };
            let stanzas = if stream < broken { each } else { usize::MAX };
            for _ in 0..stanzas {
                let Ok(stanza) = session.stream.element("a stanza") else { return };
                let id = stanza.attribute("id").and_then(|id| id.parse().ok());
                let Some(Ok(())) = id.map(|id| sender.send(Seen::Stanza { stream, id })) else {
                    return;
                };
            }
            drop(session);
            let Ok(()) = sender.send(Seen::Broken { stream }) else { return };
        }
    });
    Ok(seen)
}

/// The labels of verified streams to peers.
const OUTBOUND: [(&str, &str); 2] = [("leg", "outer"), ("direction", "outbound")];

#[test]
fn nothing_that_was_not_sent_is_lost_with_a_broken_stream() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let seen = breaking(&world, usize::MAX, 2).unwrap();
    let mut sender = world.stream_from_backend(CLOSED).unwrap();
    let mut id = 0;
    for stream in 0..6 {
        for _ in 0..2 {
            sender.send(to(CLOSED, id, "?")).unwrap();
            assert_eq!(seen.recv_timeout(DEADLINE), Ok(Seen::Stanza { stream, id }));
            id += 1;
        }
        assert_eq!(seen.recv_timeout(DEADLINE), Ok(Seen::Broken { stream }));
        // Before the engine sees the end, TCP may accept its data for a program that no longer exists.
        until("the end of the stream", || world.count("streams", &OUTBOUND).unwrap() == 0).unwrap();
    }
}

#[test]
fn rfc6120_10_1_order_is_kept_and_everything_counted_when_streams_break_under_load() {
    const STANZAS: u32 = 60;
    let world = World::start(engine(), ORDINARY).unwrap();
    let seen = breaking(&world, 3, 2).unwrap();
    let mut sender = world.stream_from_backend(CLOSED).unwrap();
    // More than the queue holds, and each stanza needs more than one write: senders must wait while a stream is
    // reopened.
    let body = "x".repeat(100_000);
    for id in 0..STANZAS {
        sender.send(to(CLOSED, id, &body)).unwrap();
    }
    until("an empty queue", || world.count("stanzas_queued", &[]).unwrap() == 0).unwrap();
    // A broken stream loses the data that the peer's TCP had, even all of it: then another stanza is the last one.
    let mut arrived: Vec<(usize, u32)> = Vec::new();
    let mut last = STANZAS;
    sender.send(to(CLOSED, last, "the last")).unwrap();
    while arrived.last().is_none_or(|(_, id)| *id != last) {
        match seen.recv_timeout(DEADLINE).unwrap() {
            Seen::Stanza { stream, id } => arrived.push((stream, id)),
            Seen::Broken { .. } => {
                last += 1;
                sender.send(to(CLOSED, last, "the last")).unwrap();
            }
        }
    }
    for pair in arrived.windows(2) {
        let [(stream, id), (next_stream, next_id)] = pair else { panic!("{pair:?}") };
        if stream == next_stream {
            assert_eq!(*next_id, id + 1, "{arrived:?}\n{}", world.engine.log());
        } else {
            // The peer had the last stanza of a stream, but its TCP may not have acknowledged it: the stanza comes
            // again. After a read, less than one segment remains unacknowledged, and no two of these stanzas fit into
            // one.
            assert!(next_id >= id, "{arrived:?}\n{}", world.engine.log());
        }
    }
    assert!(arrived.iter().any(|(stream, _)| *stream > 0), "no stream broke: {arrived:?}");
    until("every stanza counted as relayed", || {
        let relayed = world.count("stanzas_relayed_total", &[("leg", "outer")]).unwrap();
        relayed == u64::from(last) + 1
    })
    .unwrap();
}

/// A certificate that expires after `life`.
fn short_lived(authority: &Authority, domain: &str, life: Duration) -> PeerResult<Identity> {
    authority.issue_with(&[domain], |params| params.not_after = (SystemTime::now() + life).into())
}

fn condition(end: &PeerError) -> &str {
    match end {
        PeerError::Stream { condition, .. } => condition,
        _ => "no stream error",
    }
}

#[test]
fn rfc6120_13_7_2_3_a_stream_of_a_peer_ends_with_the_peers_certificate() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let end = expiring(|life| -> Result<_, LoopbackError> {
        let identity = short_lived(&world.ground.authority, PEER, life)?;
        let roots = world.ground.authority.roots()?;
        let mut stream = world.from_peer(Some(&identity), &roots).external()?;
        stream.send(TO_LOCAL)?;
        world.backend.message()?;
        Ok(stream.element("the end of the certificate").unwrap_err())
    })
    .unwrap();
    assert_eq!(condition(&end), "reset", "{end}");
}

#[test]
fn rfc6120_13_7_2_3_streams_in_both_directions_end_with_our_certificate() {
    let ends = expiring(|life| -> Result<_, LoopbackError> {
        let world = World::start_with(engine(), ORDINARY, |ground, _| {
            let identity = short_lived(&ground.authority, LOCAL, life).unwrap();
            ground.write("tls.key", identity.key_pem()).unwrap();
            ground.write("tls.crt", identity.certificate_pem()).unwrap();
        })?;
        let peer = Server::start(world.closed, world.acceptor(CLOSED)?)?;
        let mut to_peer = world.stream_from_backend(CLOSED)?;
        to_peer.send(to(CLOSED, "m", "?"))?;
        peer.message()?;

        let identity = world.ground.authority.issue(&[PEER])?;
        let roots = world.ground.authority.roots()?;
        let mut from_peer = world.from_peer(Some(&identity), &roots).external()?;
        let awaited = "the end of the certificate";
        let end = from_peer.element(awaited).unwrap_err();
        Ok([end, peer.wait(awaited, |_| None::<()>).unwrap_err()])
    })
    .unwrap();
    for end in ends {
        assert_eq!(condition(&end), "reset", "{end}");
    }
}

#[test]
fn rfc6120_13_7_2_3_our_stream_ends_with_the_peers_certificate() {
    let end = expiring(|life| -> Result<_, LoopbackError> {
        let world = World::start(engine(), ORDINARY)?;
        let identity = short_lived(&world.ground.authority, CLOSED, life)?;
        let acceptor = Acceptor { identity, ..world.acceptor(CLOSED)? };
        let peer = Server::start(world.closed, acceptor)?;
        let mut stream = world.stream_from_backend(CLOSED)?;
        stream.send(to(CLOSED, "m", "?"))?;
        peer.message()?;
        Ok(peer.wait("the end of the certificate", |_| None::<()>).unwrap_err())
    })
    .unwrap();
    assert_eq!(condition(&end), "reset", "{end}");
}

#[test]
fn a_stanza_that_is_refused_costs_itself_and_not_its_neighbours() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let peer = Server::start(world.closed, world.acceptor(CLOSED).unwrap()).unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    for stanza in [
        to(CLOSED, "first", "?"),
        to(CLOSED, "large", &"x".repeat(600 * 1024)),
        to(CLOSED, "malformed", "?").replace("tybalt@", "ty balt@"),
        "<bidi xmlns='urn:xmpp:features:bidi'/>".to_owned(),
        to(CLOSED, "last", "?"),
    ] {
        stream.send(stanza).unwrap();
    }
    for id in ["first", "last"] {
        assert_eq!(peer.message().unwrap().attribute("id"), Some(id));
    }
    for (id, condition) in [("large", "policy-violation"), ("malformed", "jid-malformed")] {
        let bounce = world.backend.message().unwrap();
        assert_eq!(bounce.attribute("id"), Some(id));
        assert_eq!(error(&bounce), Some(("modify", condition)), "{bounce}");
    }
}

#[test]
fn xep0478_a_stanza_that_the_peer_would_not_accept_is_never_sent() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>12000</max-bytes></limits>";
    let acceptor = world.acceptor(CLOSED).unwrap();
    let peer = Server::start_offering(world.closed, acceptor, limits).unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    for (id, size) in [("small", 10), ("large", 12_000), ("last", 11_000)] {
        stream.send(to(CLOSED, id, &"x".repeat(size))).unwrap();
    }
    for id in ["small", "last"] {
        assert_eq!(peer.message().unwrap().attribute("id"), Some(id));
    }
    let bounce = world.backend.message().unwrap();
    assert_eq!(bounce.attribute("id"), Some("large"));
    assert_eq!(error(&bounce), Some(("modify", "policy-violation")), "{bounce}");
    eventually("one refused stanza and none in the queue", &(1, 0), || {
        let refused = world.count("stanzas_refused_total", &[("reason", "TooLarge")])?;
        Ok((refused, world.count("stanzas_queued", &[])?))
    })
    .unwrap();
}

#[test]
fn xep0478_an_idle_stream_is_closed_before_the_peer_would_do_it() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><idle-seconds>3</idle-seconds></limits>";
    let acceptor = world.acceptor(CLOSED).unwrap();
    let peer = Server::start_offering(world.closed, acceptor, limits).unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    stream.send(to(CLOSED, "m", "?")).unwrap();
    peer.message().unwrap();
    let ended = |event| match event {
        Event::Ended { from } => Some(from),
        _ => None,
    };
    // The server would wait longer than the engine's own idle time, which has passed here.
    assert_eq!(peer.wait("the end of the idle stream", ended).unwrap().as_deref(), Some(LOCAL));
    // The engine opens the stream again for later stanzas.
    stream.send(to(CLOSED, "later", "?")).unwrap();
    assert_eq!(peer.message().unwrap().attribute("id"), Some("later"));
}

#[test]
fn the_engines_own_ping_never_waits_for_a_backend_that_is_down() {
    let nobody = claim::port().unwrap().port();
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["backends"][0]["server"]["port"] = json!(nobody);
        config["timeouts"] = json!({"queueSeconds": DEADLINE.as_secs() * 4});
    })
    .unwrap();
    until("two pings that found out", || {
        world.count("stanzas_bounced_total", &[("reason", "ConnectRefused")]).unwrap() >= 2
    })
    .unwrap();
}

/// Configures the engine to serve `/v1/evidence`, and returns the address.
fn with_control(ground: &Ground, config: &mut Value) -> Result<SocketAddr, LoopbackError> {
    let control = claim::port()?;
    let identity = ground.authority.issue(&[CONTROL_NAME])?;
    ground.write("control.crt", identity.certificate_pem())?;
    ground.write("control.key", identity.key_pem())?;
    ground.write("token", TOKEN)?;
    evidence::listen(ground, config, control);
    Ok(control)
}

#[test]
fn the_last_attempts_say_how_far_each_came() {
    let mut control = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        control = Some(with_control(ground, config).unwrap());
        let strict = |domain: &str| json!({"domain": domain, "profile": "Strict"});
        config["peers"] = json!([strict(PEER), strict(CLOSED)]);
    })
    .unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let last = |domain: &str| -> Value {
        let all = evidence::of_all::<Value>(control.unwrap(), &roots).unwrap();
        let peers = all["peers"].as_array().unwrap();
        let peer = peers.iter().find(|peer| peer["domain"] == domain);
        peer.map(|peer| peer["attempts"].as_array().unwrap().last().cloned().into())
            .unwrap_or_default()
    };
    let is = |domain: &str, reason: &str| last(domain)["reason"] == reason;
    until("a stream to the peer", || is(PEER, "Connected")).unwrap();
    let attempt = last(PEER);
    assert_eq!((&attempt["step"], &attempt["tls"]), (&json!("Established"), &json!("TLSv1.3")));
    assert_eq!(attempt["address"], world.peer.address().to_string());

    until("a refused connection", || is(CLOSED, "ConnectRefused")).unwrap();
    let attempt = last(CLOSED);
    assert_eq!((&attempt["step"], &attempt["tls"]), (&json!("TCP"), &Value::Null));
    assert_eq!(attempt["address"], world.closed.to_string());

    // Now a server answers there, with a certificate for another name.
    let other = world.ground.authority.issue(&["other.example"]).unwrap();
    let other = Acceptor { identity: other, ..world.acceptor(CLOSED).unwrap() };
    let _server = Server::start(world.closed, other).unwrap();
    let mut sender = world.stream_from_backend(CLOSED).unwrap();
    sender.send(to(CLOSED, "m", "?")).unwrap();
    until("a judged certificate", || is(CLOSED, "CertificateNameMismatch")).unwrap();
    let attempt = last(CLOSED);
    assert_eq!((&attempt["step"], &attempt["tls"]), (&json!("TLS"), &json!("TLSv1.3")));
}

#[test]
fn what_was_refused_is_in_the_evidence_with_its_cause() {
    let mut control = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        control = Some(with_control(ground, config).unwrap());
        config["peers"] = json!([{"domain": PEER, "profile": "Strict"}]);
    })
    .unwrap();
    let control = control.unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let evidence = || evidence::of_all::<Value>(control, &roots).unwrap();
    let peer = |evidence: &Value| {
        let peers = evidence["peers"].as_array().unwrap();
        peers.iter().find(|peer| peer["domain"] == PEER).unwrap().clone()
    };
    // A certificate for another name, which belongs to no known peer.
    let identity = world.ground.authority.issue(&["other.example"]).unwrap();
    let end = world.from_peer(Some(&identity), &roots).external().unwrap_err();
    assert_eq!(condition(&end), "policy-violation", "{end}");
    until("the refusal", || peer(&evidence())["refusals"].is_array()).unwrap();
    let refusal = peer(&evidence())["refusals"][0].clone();
    assert_eq!(refusal["reason"], "CertificateNameMismatch", "{refusal}");
    let cause = "the certificate is for other.example, not for this domain";
    assert!(refusal["message"].as_str().unwrap().ends_with(cause), "{refusal}");
    assert_eq!((&refusal["local"], &refusal["source"]), (&json!(LOCAL), &json!("127.0.0.1")));
    assert_eq!(peer(&evidence())["inbound"], Value::Null, "nothing was authenticated");

    // A server that does not trust our certificate reports that in the handshake. Its header was in the clear.
    let stranger = Authority::new("Unknown CA").unwrap();
    let other_roots = stranger.roots().unwrap();
    world.from_peer(None, &other_roots).external().unwrap_err();
    let failed = |refusal: &Value| refusal["reason"] == "HandshakeFailed";
    let all = || peer(&evidence())["refusals"].as_array().cloned().unwrap_or_default();
    until("the failed handshake", || all().iter().any(failed)).unwrap();
    let refusal = all().into_iter().find(failed).unwrap();
    assert!(refusal["message"].as_str().unwrap().contains("UnknownCA"), "{refusal}");
    assert_eq!(refusal["local"], json!(LOCAL), "{refusal}");

    // An unknown server gets no record of its own.
    let stranger = Initiator {
        from: "stranger.example",
        to: "nowhere.example",
        ..world.from_peer(None, &roots)
    };
    let end = stranger.external().unwrap_err();
    assert_eq!(condition(&end), "host-unknown", "{end}");
    until("the other refusal", || {
        evidence()["refusals"].as_array().is_some_and(|all| !all.is_empty())
    })
    .unwrap();
    let all = evidence();
    assert_eq!(all["refusals"][0]["peer"], "stranger.example", "{all}");
    assert_eq!(all["refusals"][0]["local"], "nowhere.example", "{all}");
    assert!(
        all["peers"].as_array().unwrap().iter().all(|peer| peer["domain"] != "stranger.example")
    );

    // After the peer has authenticated, its earlier refusals are irrelevant.
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let _stream = world.from_peer(Some(&identity), &roots).external().unwrap();
    until("the peer without refusals", || {
        let peer = peer(&evidence());
        peer["inbound"]["connected"] == true && peer["refusals"] == Value::Null
    })
    .unwrap();
}

#[test]
fn a_refused_connection_is_in_the_evidence_with_its_source_and_cause() {
    /// More connections than one source may have without authentication.
    const CONNECTIONS: u64 = 150;
    let mut control = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        control = Some(with_control(ground, config).unwrap());
    })
    .unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let evidence = || evidence::of_all::<Value>(control.unwrap(), &roots).unwrap();
    assert_eq!(evidence()["refusals"], json!([]), "nothing is refused yet");
    // They send nothing, and the newest connection takes the place of the oldest.
    let connect = |_| TcpStream::connect(world.ground.outer).unwrap();
    let _silent: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    let refused = || world.count("connections_refused_total", &[]).unwrap();
    until("connections are refused", || refused() >= CONNECTIONS - 100).unwrap();
    until("each of them in the evidence", || {
        let count = evidence()["refusals"][0]["count"].as_u64();
        count == Some(refused())
    })
    .unwrap();
    let all = evidence();
    let [refusal] = all["refusals"].as_array().unwrap().as_slice() else { panic!("{all}") };
    assert_eq!(refusal["source"], "127.0.0.1", "{refusal}");
    assert_eq!(refusal["reason"], "TooManyConnections", "{refusal}");
    assert_eq!(
        refusal["message"],
        "the connection had not opened a stream and was closed to make room for another one",
        "{refusal}"
    );
    assert_eq!((&refusal["peer"], &refusal["local"]), (&Value::Null, &Value::Null), "{refusal}");
}

/// Serves [`CLOSED`], and redirects every peer to that host.
fn redirecting(world: &World, to: &str, in_the_clear: bool) -> PeerResult<Server> {
    let acceptor = world.acceptor(CLOSED)?;
    let redirecting = Redirecting { acceptor, to: to.to_owned(), in_the_clear };
    Server::start(world.closed, redirecting)
}

#[test]
fn rfc6120_4_9_3_19_a_stream_is_opened_where_the_peer_sends_us() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let any = (world.closed.ip(), 0).into();
    // It serves the requested domain, and its certificate names that domain.
    let other = Server::start(any, world.acceptor(CLOSED).unwrap()).unwrap();
    let _first = redirecting(&world, &other.address().to_string(), false).unwrap();
    let mut sender = world.stream_from_backend(CLOSED).unwrap();
    sender.send(to(CLOSED, "m", "?")).unwrap();
    assert_eq!(other.message().unwrap().attribute("id"), Some("m"));
}

#[test]
fn rfc6120_4_9_3_19_the_other_host_has_to_prove_the_same_domain() {
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["peers"] = json!([{"domain": CLOSED, "profile": "Strict"}]);
    })
    .unwrap();
    // A name and a port: only its address is looked up. It belongs to a server of another domain.
    let _first =
        redirecting(&world, &format!("xmpp.{PEER}:{}", world.peer.address().port()), false)
            .unwrap();
    let mut sender = world.stream_from_backend(CLOSED).unwrap();
    sender.send(to(CLOSED, "m", "?")).unwrap();
    let bounce = world.backend.message().unwrap();
    assert_eq!(error(&bounce), Some(("cancel", "remote-server-timeout")), "{bounce}");
    let text = bounce.to_string();
    assert!(text.contains(&format!("the certificate is for {PEER}")), "{text}");
}

#[test]
fn rfc6120_4_9_3_19_redirections_that_are_not_followed_say_why() {
    for (other, in_the_clear, why) in [
        ("other.example", true, "the stream is not encrypted"),
        ("nobody at home", false, "it must be a host name or an IP address"),
        ("10.0.0.1:5269", false, "10.0.0.1 is a private address"),
        ("", false, "it points back to a host that was already tried"),
    ] {
        let world = World::start(engine(), ORDINARY).unwrap();
        let itself = world.closed.to_string();
        let other = if other.is_empty() { &itself } else { other };
        let _first = redirecting(&world, other, in_the_clear).unwrap();
        let mut sender = world.stream_from_backend(CLOSED).unwrap();
        sender.send(to(CLOSED, "m", "?")).unwrap();
        let bounce = world.backend.message().unwrap().to_string();
        assert!(bounce.contains(why), "{bounce}");
    }
}

/// Whether the kernel's next action on a connection, named by the ports of its ends, is a keep-alive probe.
fn is_probed(local: u16, remote: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let established = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ends = [(1, local), (2, remote)];
        let is_end = |(index, port): (usize, u16)| {
            fields.get(index).is_some_and(|end| end.ends_with(&format!(":{port:04X}")))
        };
        ends.into_iter().all(is_end) && fields.get(3) == Some(&"01")
    };
    // proc_net_tcp.rst: timer_active, then when; 2 is the keep-alive timer.
    let timer = |line: &str| line.split_whitespace().nth(5).map(|timer| timer.starts_with("02:"));
    table.lines().find(established).and_then(timer).unwrap_or_default()
}

#[test]
fn rfc6120_4_6_1_tcp_probes_silent_connections_in_both_directions() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(Some(&identity), &roots).external().unwrap();
    let accepted = stream.transport().local_port().unwrap();
    until("probes on what was accepted", || is_probed(world.ground.outer.port(), accepted))
        .unwrap();

    let listener = Listener::bind(world.closed).unwrap();
    let acceptor = world.acceptor(CLOSED).unwrap();
    let mut sender = world.stream_from_backend(CLOSED).unwrap();
    sender.send(to(CLOSED, "m", "?")).unwrap();
    let tcp = listener.accept(DEADLINE).unwrap();
    let engine = tcp.peer_addr().unwrap();
    let mut session = acceptor.accept(tcp).unwrap().unwrap();
    session.stream.element("the message").unwrap();
    until("probes on what was dialled", || is_probed(engine.port(), world.closed.port())).unwrap();
}

/// A server of [`TWO`] at an address of its own, with the digest of its certificate.
fn server_of_two(ground: &Ground, address: [u8; 4]) -> PeerResult<(Server, Vec<u8>)> {
    let identity = ground.authority.issue(&[TWO])?;
    let leaf = identity.chain().first().map(|leaf| Sha256::digest(leaf).to_vec());
    let acceptor = Acceptor {
        domain: TWO.to_owned(),
        identity,
        roots: ground.authority.roots()?,
        proof: Proof::Certificate,
        secret: secret_of(TWO),
        timeout: DEADLINE,
    };
    Ok((Server::start(SocketAddr::from((address, 0)), acceptor)?, leaf.unwrap_or_default()))
}

/// A domain with two servers.
const TWO: &str = "two.example";

#[test]
fn rfc7673_3_3_a_server_that_its_tlsa_record_does_not_name_is_followed_by_the_next_one() {
    let mut outside = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        let (first, _) = server_of_two(ground, [127, 0, 0, 6]).unwrap();
        let (second, digest) = server_of_two(ground, [127, 0, 0, 7]).unwrap();
        let key = Signer::new().unwrap();
        ground.write("root.key", &key.anchor()).unwrap();
        let mut zone = Zone::default();
        // Both certificates are valid; the record of the first server names the second one's.
        for (priority, (host, server)) in
            (0..).zip([("a.two.example", &first), ("b.two.example", &second)])
        {
            let port = server.address().port();
            zone = zone
                .address(host, server.address().ip())
                .and_then(|zone| {
                    zone.server_with_priority("_xmpp-server", TWO, host, (priority, port))
                })
                .and_then(|zone| zone.certificate(host, port, (3, 0, 1, digest.clone())))
                .unwrap();
        }
        let nameserver = Nameserver::start(([127, 0, 0, 6], 0).into(), zone.signed(key)).unwrap();
        config["resolvers"] = json!([nameserver.address().to_string()]);
        config["dnssec"] = json!({"trustAnchors": ground.path("root.key")});
        outside = Some((first, second, nameserver));
    })
    .unwrap();
    let (first, second, _nameserver) = outside.unwrap();
    let mut sender = world.stream_from_backend(TWO).unwrap();
    sender.send(to(TWO, "m", "?")).unwrap();
    let arrived = second.message().unwrap();
    assert_eq!(arrived.attribute("id"), Some("m"), "{}", world.engine.log());
    let authenticated = |event: &Event| matches!(event, Event::Authenticated { .. });
    let mut events = Vec::new();
    // The first server may see the refusal only after the second server has the message.
    until("an attempt at the first server", || {
        events.extend(first.events());
        !events.is_empty()
    })
    .unwrap();
    assert!(!events.iter().any(authenticated), "{events:?}");
}
