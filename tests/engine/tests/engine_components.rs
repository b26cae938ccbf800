//! Components behind the engine (XEP-0114): the real program between scripted peers, a scripted component and a scripted
//! server as another backend. Loopback only.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test states its expectations so"
)]

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use harness::loopback::{DEADLINE, LOCAL, ORDINARY, PEER, World, eventually, until};
use harness::program::engine;
use harness::{claim, evidence};
use rustls::RootCertStore;
use s2s_peer::authority::Identity;
use s2s_peer::component::Component;
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::Initiator;
use s2s_peer::namespace::{COMPONENT, SERVER, STANZA_ERRORS};
use s2s_peer::stream::{Item, Stream};
use s2s_peer::tls;
use serde_json::{Value, json};

/// The domains of the component backend.
const BOT: &str = "bot.example";
const NEWS: &str = "news.example";
const SECRET: &str = "only for this test";
const PING: &str = "urn:xmpp:ping";

/// An engine with a component and a server as backends, and the streams of the peer.
struct Components {
    world: World,
    address: SocketAddr,
    control: SocketAddr,
    identity: Identity,
    roots: Arc<RootCertStore>,
}

fn start() -> Components {
    start_with(|_| {})
}

fn start_with(change: impl FnOnce(&mut Value)) -> Components {
    let address = claim::port().unwrap();
    let mut control = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&[LOCAL, BOT, NEWS]).unwrap();
        ground.write("component", &format!("{SECRET}\n")).unwrap();
        let secret = ground.path("component").display().to_string();
        let bot = json!({"name": "bot", "component": {"secretFile": secret}});
        config["backends"].as_array_mut().unwrap().push(bot);
        let domains = config["domains"].as_array_mut().unwrap();
        domains.extend([BOT, NEWS].map(|name| json!({"name": name, "backend": "bot"})));
        config["listen"]["component"] = json!(address.to_string());
        control = Some(evidence::serve(ground, config).unwrap());
        change(config);
    })
    .unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    Components { world, address, control: control.unwrap(), identity, roots }
}

impl Components {
    fn component<'a>(&self, domain: &'a str) -> Component<'a> {
        Component { address: self.address, domain, secret: SECRET, tls: None, timeout: DEADLINE }
    }

    fn connect(&self, domain: &str) -> Stream {
        self.component(domain).connect().unwrap()
    }

    /// A stream of the peer to this domain.
    fn peer_to(&self, to: &str) -> Stream {
        let initiator = self.world.from_peer(Some(&self.identity), &self.roots);
        Initiator { to, ..initiator }.external().unwrap()
    }

    /// The outcome and the detail of the last round trip.
    fn round_trip(&self, domain: &str) -> (String, String) {
        let all: Value = evidence::of_all(self.control, &self.roots).unwrap();
        let trips = all["backends"].as_array().unwrap();
        let trip = trips.iter().find(|trip| trip["domain"] == domain);
        let text = |field: &str| trip.and_then(|trip| trip[field].as_str()).unwrap_or_default();
        (text("outcome").to_owned(), text("detail").to_owned())
    }

    /// A stream of the peer to [`BOT`], whose component has left meanwhile.
    fn peer_to_absent_bot(&self) -> Stream {
        let bot = self.connect(BOT);
        let peer = self.peer_to(BOT);
        bot.close().unwrap();
        self.await_outcome(BOT, "ComponentNotConnected");
        peer
    }

    /// The condition with which the engine refuses a new stream of the peer to this domain; `None` if it accepts.
    fn refuses_peer(&self, to: &str) -> Option<String> {
        let initiator = self.world.from_peer(Some(&self.identity), &self.roots);
        match (Initiator { to, ..initiator }).external() {
            Ok(_) => None,
            Err(PeerError::Stream { condition, .. }) => Some(condition),
            Err(other) => panic!("no stream error: {other:?}"),
        }
    }

    fn await_outcome(&self, domain: &str, outcome: &str) {
        eventually(domain, &outcome.to_owned(), || Ok(self.round_trip(domain).0)).unwrap();
    }
}

/// A message of the peer.
fn message(to: &str, id: &str) -> String {
    format!(
        "<message from='juliet@{PEER}/b' to='{to}' id='{id}' type='chat'><body>Hi</body></message>"
    )
}

/// A message of a component.
fn answer(from: &str, to: &str, id: &str) -> String {
    format!("<message from='{from}' to='{to}' id='{id}'><body>Ho</body></message>")
}

/// The next message; the engine's pings in between are answered with an error, as a component that does not know them does.
fn next_message(stream: &mut Stream) -> Element {
    loop {
        let stanza = stream.element("a stanza").unwrap();
        if stanza.name == "message" {
            return stanza;
        }
        answer_ping(stream, &stanza);
    }
}

/// Answers the ping of the engine with an error.
fn answer_ping(stream: &mut Stream, stanza: &Element) {
    assert!(stanza.child(PING, "ping").is_some(), "{stanza}");
    let attribute = |name| stanza.attribute(name).unwrap();
    let (from, to, id) = (attribute("from"), attribute("to"), attribute("id"));
    let error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    stream
        .send(format!("<iq type='error' from='{to}' to='{from}' id='{id}'>{error}</iq>"))
        .unwrap();
}

fn id(stanza: &Element) -> &str {
    stanza.attribute("id").unwrap_or_default()
}

/// The condition with which the engine closes the stream.
fn ending(stream: &mut Stream) -> String {
    loop {
        match stream.receive("the end of the stream") {
            Ok(Item::Element(got)) if got.name == "error" => {
                match PeerError::unexpected("", &got) {
                    PeerError::Stream { condition, .. } => return condition,
                    other => panic!("{other}"),
                }
            }
            Ok(Item::Element(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The bytes up to and including this text.
fn raw_until(stream: &mut Stream, end: &str) -> String {
    let transport = stream.transport();
    transport.begin();
    let mut seen = Vec::new();
    while !seen.ends_with(end.as_bytes()) {
        let some = transport.fill_buf().unwrap();
        let first = *some.first().unwrap();
        transport.consume(1);
        seen.push(first);
    }
    String::from_utf8(seen).unwrap()
}

#[test]
fn xep0114_stanzas_of_a_peer_and_a_component_keep_their_bytes_both_ways() {
    let components = start();
    let mut bot = components.connect(BOT);
    let mut peer = components.peer_to(BOT);
    let sent = format!(
        "<message  from=\"juliet@{PEER}/b\" to='echo@{BOT}' type='chat'\n id='m1'><body>&#72;i &lt;3</body><x xmlns='jabber:client'/></message>"
    );
    peer.send(&sent).unwrap();
    let arrived = raw_until(&mut bot, "</message>");
    assert!(arrived.ends_with(&sent), "{arrived}");

    bot.send(answer(&format!("echo@{BOT}/r"), &format!("juliet@{PEER}"), "m2")).unwrap();
    let arrived = components.world.peer.message().unwrap();
    assert!(arrived.is(SERVER, "message"), "{arrived}");
    assert_eq!(arrived.attribute("from"), Some(format!("echo@{BOT}/r").as_str()));
    assert!(arrived.child(SERVER, "body").is_some(), "{arrived}");
}

#[test]
fn rfc6120_4_8_3_a_declared_content_namespace_becomes_that_of_the_other_stream() {
    let components = start();
    let mut bot = components.connect(BOT);
    let mut peer = components.peer_to(BOT);
    peer.send(format!(
        "<message xmlns='{SERVER}' from='{PEER}' to='{BOT}' id='m1'><body xmlns='{SERVER}'>{SERVER}</body></message>"
    ))
    .unwrap();
    let arrived = next_message(&mut bot);
    assert!(arrived.is(COMPONENT, "message"), "{arrived}");
    assert_eq!(arrived.child(COMPONENT, "body").unwrap().text, SERVER);

    bot.send(format!(
        "<c:message xmlns:c='{COMPONENT}' from='{BOT}' to='{PEER}' id='m2'><c:body>{COMPONENT}</c:body></c:message>"
    ))
    .unwrap();
    let arrived = components.world.peer.message().unwrap();
    assert_eq!(arrived.child(SERVER, "body").unwrap().text, COMPONENT, "{arrived}");
}

#[test]
fn a_refused_component_is_told_why_and_evidence_counts_it_until_one_is_connected() {
    let components = start();
    components.await_outcome(BOT, "ComponentNotConnected");
    let good = components.component(BOT);
    for (component, condition) in [
        (Component { secret: "wrong", ..good.clone() }, "not-authorized"),
        (Component { secret: "wrong too", ..good.clone() }, "not-authorized"),
        (Component { domain: LOCAL, ..good.clone() }, "host-unknown"),
        (Component { domain: "sub.bot.example", ..good.clone() }, "host-unknown"),
        (Component { domain: PEER, ..good.clone() }, "host-unknown"),
    ] {
        assert_eq!(component.refusal().unwrap(), condition, "{component:?}");
    }
    components.await_outcome(BOT, "ComponentRejected");
    let (_, detail) = components.round_trip(BOT);
    assert!(detail.contains("attempts refused: 2") && detail.contains("secret"), "{detail}");
    assert_eq!(components.round_trip(NEWS).0, "ComponentNotConnected");

    let mut bot = good.connect().unwrap();
    // An error is as good an answer as a result.
    for _ in 0..2 {
        let ping = bot.element("the ping of the engine").unwrap();
        answer_ping(&mut bot, &ping);
    }
    components.await_outcome(BOT, "RoundTripSeen");
    components.await_outcome(NEWS, "RoundTripSeen");
    drop(bot);
    components.await_outcome(BOT, "ComponentNotConnected");
}

#[test]
fn a_component_that_answers_nothing_is_connected_and_not_ready_until_it_sends_a_stanza() {
    let components = start();
    let mut bot = components.connect(BOT);
    components.await_outcome(BOT, "NoAnswer");
    let (_, detail) = components.round_trip(BOT);
    assert!(detail.contains("is connected") && detail.contains("did not answer"), "{detail}");
    // A library that drops requests that it does not know still sends its own stanzas.
    bot.send(answer(&format!("echo@{BOT}/r"), &format!("juliet@{PEER}"), "m1")).unwrap();
    components.await_outcome(BOT, "RoundTripSeen");
    components.await_outcome(NEWS, "RoundTripSeen");
}

#[test]
fn a_component_that_stops_answering_is_noticed_although_it_stays_connected() {
    let components = start();
    let mut bot = components.connect(BOT);
    bot.send(answer(&format!("echo@{BOT}/r"), &format!("juliet@{PEER}"), "m1")).unwrap();
    // One for each of its domains.
    for _ in 0..2 {
        let ping = bot.element("the ping of the engine").unwrap();
        answer_ping(&mut bot, &ping);
    }
    components.await_outcome(BOT, "RoundTripSeen");
    // It hangs; its stanza from before says nothing about now.
    components.await_outcome(BOT, "NoAnswer");
}

#[test]
fn one_stream_has_all_domains_of_the_backend_until_one_has_a_stream_of_its_own() {
    let components = start();
    let mut bot = components.connect(BOT);
    let mut peer = components.peer_to(NEWS);
    peer.send(message(NEWS, "m1")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "m1");
    bot.send(answer(NEWS, PEER, "a1")).unwrap();
    assert_eq!(id(&components.world.peer.message().unwrap()), "a1");

    assert_eq!(components.component(BOT).refusal().unwrap(), "conflict");
    let mut news = components.connect(NEWS);
    assert_eq!(components.component(NEWS).refusal().unwrap(), "conflict");
    // The link leaves the first stream once that stream's TCP has its stanzas.
    let mut peer = components.peer_to(NEWS);
    peer.send(message(NEWS, "m2")).unwrap();
    assert_eq!(id(&next_message(&mut news)), "m2");
    // Two streams of one backend reach each other through the engine.
    news.send(answer(NEWS, BOT, "n1")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "n1");
    bot.send(answer(BOT, NEWS, "b1")).unwrap();
    assert_eq!(id(&next_message(&mut news)), "b1");
}

#[test]
fn a_component_that_speaks_for_others_loses_its_stream() {
    let components = start();
    for (from, to) in [(PEER, BOT), (LOCAL, PEER), ("sub.bot.example", PEER), ("", PEER)] {
        let mut bot = components.connect(BOT);
        bot.send(answer(from, to, "m1")).unwrap();
        assert_eq!(ending(&mut bot), "invalid-from", "{from}");
    }
    // The domain is free again, and others are not affected.
    let mut bot = components.connect(BOT);
    bot.send(answer(BOT, PEER, "m2")).unwrap();
    assert_eq!(id(&components.world.peer.message().unwrap()), "m2");
    bot.send(format!("<message from='{BOT}' id='m3'/>")).unwrap();
    let error = next_message(&mut bot);
    assert_eq!((id(&error), error.attribute("type")), ("m3", Some("error")));
}

#[test]
fn while_a_component_is_away_messages_wait_and_requests_come_back() {
    let components = start();
    let mut peer = components.peer_to_absent_bot();
    peer.send(message(BOT, "m1")).unwrap();
    peer.send(format!(
        "<iq from='{PEER}' to='{BOT}' id='q1' type='get'><ping xmlns='{PING}'/></iq>"
    ))
    .unwrap();
    peer.send(message(BOT, "m2")).unwrap();
    let bounce = components.world.peer.stanza().unwrap();
    assert_eq!((id(&bounce), bounce.attribute("type")), ("q1", Some("error")), "{bounce}");
    let error = bounce.child(SERVER, "error").unwrap();
    assert_eq!(error.attribute("type"), Some("wait"));
    assert!(error.child(STANZA_ERRORS, "remote-server-timeout").is_some(), "{bounce}");

    let mut bot = components.connect(BOT);
    assert_eq!(id(&next_message(&mut bot)), "m1");
    assert_eq!(id(&next_message(&mut bot)), "m2");
    // It restarts: what arrives meanwhile waits for it.
    bot.close().unwrap();
    components.await_outcome(BOT, "ComponentNotConnected");
    peer.send(message(BOT, "m3")).unwrap();
    let mut bot = components.connect(BOT);
    assert_eq!(id(&next_message(&mut bot)), "m3");
}

#[test]
fn new_streams_to_a_component_that_is_away_are_refused_so_that_peers_queue_and_the_others_go_on() {
    let components = start();
    for domain in [BOT, NEWS] {
        until("the refusal", || components.refuses_peer(domain).is_some()).unwrap();
        assert_eq!(components.refuses_peer(domain).as_deref(), Some("remote-connection-failed"));
    }
    assert_eq!(components.refuses_peer(LOCAL), None, "another backend");
    assert!(components.world.engine.log().contains("BackendUnreachable"));

    // One stream serves both domains at once.
    let bot = components.connect(BOT);
    assert_eq!([BOT, NEWS].map(|domain| components.refuses_peer(domain)), [None, None]);
    // A domain that had a stream of its own waits for the next one.
    components.connect(NEWS).close().unwrap();
    until("the refusal", || components.refuses_peer(NEWS).is_some()).unwrap();
    assert_eq!(components.refuses_peer(BOT), None, "its component is connected");
    let news = components.connect(NEWS);
    assert_eq!(components.refuses_peer(NEWS), None);
    drop((bot, news));
    until("the refusal", || components.refuses_peer(BOT).is_some()).unwrap();
}

#[test]
fn stanzas_that_wait_too_long_for_a_component_come_back_with_the_cause() {
    let components = start_with(|config| config["timeouts"] = json!({"queueSeconds": 5}));
    let mut peer = components.peer_to_absent_bot();
    peer.send(message(BOT, "m1")).unwrap();
    let bounce = components.world.peer.stanza().unwrap();
    assert_eq!((id(&bounce), bounce.attribute("type")), ("m1", Some("error")), "{bounce}");
    assert!(!bounce.to_string().contains("component"), "nothing about this side: {bounce}");
    let mut backend = components.world.stream_from_backend(BOT).unwrap();
    backend.send(answer(LOCAL, BOT, "m2")).unwrap();
    let bounce = components.world.backend.message().unwrap();
    assert_eq!(id(&bounce), "m2");
    assert!(bounce.to_string().contains("no component is connected"), "{bounce}");
}

/// More than the buffers of the engine's queue and of both sockets hold.
fn flood(stream: &mut Stream, count: usize) -> usize {
    let body = "x".repeat(60_000);
    let mut sent = 0;
    stream.transport().set_patience(std::time::Duration::from_secs(3)).unwrap();
    for n in 0..count {
        let stanza =
            format!("<message from='{PEER}' to='{BOT}' id='f{n}'><body>{body}</body></message>");
        if stream.send(stanza).is_err() {
            break;
        }
        sent += 1;
    }
    sent
}

#[test]
fn a_component_that_does_not_read_slows_its_own_senders_only() {
    let components = start_with(|config| config["limits"] = json!({"queueBytes": 131_072}));
    let mut bot = components.connect(BOT);
    let mut fast = components.peer_to(BOT);
    let all = 4_000;
    assert!(flood(&mut fast, all) < all, "the engine stops reading the sender");
    let mut other = components.peer_to(LOCAL);
    for n in 0..100 {
        other.send(message(LOCAL, &format!("m{n}"))).unwrap();
        assert_eq!(id(&components.world.backend.message().unwrap()), format!("m{n}"));
    }
    // The component reads on: everything arrives, in order.
    for n in 0..10 {
        assert_eq!(id(&next_message(&mut bot)), format!("f{n}"));
    }
}

#[test]
fn a_component_that_no_longer_responds_does_not_keep_its_domain() {
    let components = start();
    // Its receive buffer fills, and its TCP acknowledges no more.
    let hung = components.connect(BOT);
    let mut peer = components.peer_to(BOT);
    flood(&mut peer, 4_000);
    assert_eq!(components.component(BOT).refusal().unwrap(), "conflict");
    let mut second = None;
    until("the domain to be free", || {
        second = components.component(BOT).connect().ok();
        second.is_some()
    })
    .unwrap();
    let mut second = second.unwrap();
    assert_eq!(next_message(&mut second).attribute("to"), Some(BOT));
    drop(hung);
}

#[test]
fn an_idle_component_that_responds_keeps_its_domain() {
    let components = start();
    let mut bot = components.connect(BOT);
    for _ in 0..3 {
        assert_eq!(components.component(BOT).refusal().unwrap(), "conflict");
    }
    // Longer than the engine waits for the first one to respond.
    let begun = std::time::Instant::now();
    until("the engine to judge the first component", || begun.elapsed().as_secs() >= 7).unwrap();
    let mut peer = components.peer_to(BOT);
    peer.send(message(BOT, "m1")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "m1");
}

#[test]
fn a_rotated_secret_is_for_new_streams_and_cuts_none() {
    let components = start();
    let mut bot = components.connect(BOT);
    components.world.ground.write("component", "the next secret").unwrap();
    let next = Component { secret: "the next secret", ..components.component(NEWS) };
    let mut news = None;
    until("the new secret to be accepted", || {
        news = next.connect().ok();
        news.is_some()
    })
    .unwrap();
    drop(news);
    assert_eq!(components.component(NEWS).refusal().unwrap(), "not-authorized");
    let mut peer = components.peer_to(BOT);
    peer.send(message(BOT, "m1")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "m1");
    // An unusable file does not replace a usable one.
    components.world.ground.write("component", "").unwrap();
    eventually("the problem in the evidence", &true, || {
        let all: Value = evidence::of_all(components.control, &components.roots)?;
        Ok(all["problems"].to_string().contains("the secret of the component is empty"))
    })
    .unwrap();
    next.connect().unwrap();
}

#[test]
fn a_component_and_a_server_behind_the_engine_exchange_stanzas() {
    let components = start();
    let mut bot = components.connect(BOT);
    bot.send(answer(BOT, LOCAL, "m1")).unwrap();
    assert_eq!(id(&components.world.backend.message().unwrap()), "m1");
    let mut backend = components.world.stream_from_backend(BOT).unwrap();
    backend.send(answer(LOCAL, BOT, "m2")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "m2");
}

#[test]
fn a_component_may_use_tls_from_the_first_byte() {
    let components = start();
    let roots = components.world.ground.backend_ca.roots().unwrap();
    let config = tls::client(None, &roots, false).unwrap();
    let service = "example-backend.xmpp.svc";
    let component = Component { tls: Some((config, service)), ..components.component(BOT) };
    let mut bot = component.connect().unwrap();
    let mut peer = components.peer_to(BOT);
    peer.send(message(BOT, "m1")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "m1");
    bot.send(answer(BOT, PEER, "m2")).unwrap();
    assert_eq!(id(&components.world.peer.message().unwrap()), "m2");
}

#[test]
fn a_domain_that_moves_to_another_backend_leaves_its_component() {
    let components = start();
    let mut bot = components.connect(BOT);
    let mut peer = components.peer_to(NEWS);
    peer.send(message(NEWS, "m1")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "m1");
    let mut config = components.world.config.clone();
    let domains = config["domains"].as_array_mut().unwrap();
    domains.retain(|domain| domain["name"] != NEWS);
    components.world.ground.write("engine.yaml", &config.to_string()).unwrap();
    let foreign = answer(NEWS, PEER, "m2");
    until("the engine to refuse the domain", || {
        let mut bot = match components.component(NEWS).connect() {
            Ok(stream) => stream,
            Err(error) => return error.to_string().contains("host-unknown"),
        };
        bot.send(&foreign).is_err()
    })
    .unwrap();
    bot.send(&foreign).unwrap();
    assert_eq!(ending(&mut bot), "invalid-from");
    let domains = config["domains"].as_array_mut().unwrap();
    domains.retain(|domain| domain["name"] != BOT);
    let mut bot = components.connect(BOT);
    components.world.ground.write("engine.yaml", &config.to_string()).unwrap();
    assert_eq!(ending(&mut bot), "host-gone");
}

#[test]
fn garbage_on_the_port_of_components_is_answered_and_harms_nobody() {
    let components = start();
    let mut bot = components.connect(BOT);
    for (sent, condition) in [
        ("<html>", "invalid-namespace"),
        ("<!DOCTYPE x>", "restricted-xml"),
        (
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='bot.example'>",
            "invalid-namespace",
        ),
    ] {
        let mut stream = Stream::connect(components.address, DEADLINE).unwrap();
        stream.transport().write_all(sent.as_bytes()).unwrap();
        stream.header().unwrap();
        assert_eq!(ending(&mut stream), condition, "{sent}");
    }
    let mut second = components.connect(NEWS);
    second.send("<message from='<'/>").unwrap();
    assert_eq!(ending(&mut second), "not-well-formed");
    let mut peer = components.peer_to(BOT);
    peer.send(message(BOT, "m1")).unwrap();
    assert_eq!(id(&next_message(&mut bot)), "m1");
}

#[test]
fn xep0114_3_a_second_component_of_a_domain_is_refused_and_the_evidence_names_both() {
    let components = start();
    let mut bot = components.connect(BOT);
    for _ in 0..2 {
        let ping = bot.element("the ping of the engine").unwrap();
        answer_ping(&mut bot, &ping);
    }
    components.await_outcome(BOT, "RoundTripSeen");
    assert_eq!(components.component(BOT).refusal().unwrap(), "conflict");
    // Without the conflict, the next ping would come 10 s later.
    let ping = bot.element("the ping after the conflict").unwrap();
    assert_eq!(ping.attribute("to"), Some(BOT));
    answer_ping(&mut bot, &ping);
    components.await_outcome(BOT, "ComponentConflict");
    let (_, detail) = components.round_trip(BOT);
    for part in ["127.0.0.1 is connected for bot.example", "another one at 127.0.0.1"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert_eq!(components.round_trip(NEWS).0, "RoundTripSeen", "another domain of the backend");
}
