//! What the engine reports about a backend: the reason of each failure, and the server that it finds. The backend is
//! scripted, the engine is the real program.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

use harness::loopback::{DEADLINE, LOCAL, ORDINARY, World, eventually, put_backend, secret_of};
use harness::program::engine;
use harness::{claim, evidence};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::Authority;
use s2s_peer::element::Element;
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use serde_json::{Value, json};

/// The domain from which the engine pings.
const PROBE: &str = "xfed-probe.xmpp.local.example";
const BACKEND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// No client of the engine's DNS server.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// The engine in front of a backend that `change` makes, and the address of its evidence.
fn world(
    change: impl FnOnce(&harness::loopback::Ground, &mut Value),
) -> (World, impl Fn() -> Value) {
    let mut control = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        control = Some(evidence::serve(ground, config).unwrap());
        change(ground, config);
    })
    .unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let seen = move || evidence::of_all(control.unwrap(), &roots).unwrap();
    (world, seen)
}

fn await_outcome(seen: impl Fn() -> Value, outcome: &str) -> String {
    let field = |name: &str| seen()["backends"][0][name].as_str().unwrap_or_default().to_owned();
    eventually("the round trip", &outcome.to_owned(), || Ok(field("outcome"))).unwrap();
    field("detail")
}

/// A backend that answers every connection with these bytes.
fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((BACKEND, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            // The engine may have gone.
            let _ = tcp.read(&mut [0; 1024]);
            let _ = tcp.write_all(bytes);
        }
    });
    address
}

/// A server of the domain whose certificate `authority` signs.
fn server(domain: &str, authority: &Authority, trusts: &Authority) -> SocketAddr {
    let acceptor = Acceptor {
        domain: domain.to_owned(),
        identity: authority.issue(&[domain]).unwrap(),
        roots: trusts.roots().unwrap(),
        proof: Proof::Certificate,
        secret: secret_of(domain),
        timeout: DEADLINE,
    };
    let server = Server::start((BACKEND, 0).into(), acceptor).unwrap();
    let address = server.address();
    // It serves until the process ends.
    std::mem::forget(server);
    address
}

#[test]
fn a_backend_on_a_closed_port_is_refused_connection() {
    let closed = SocketAddr::from((BACKEND, claim::port().unwrap().port()));
    let (_world, seen) = world(|_, config| put_backend(config, closed));
    let detail = await_outcome(seen, "ConnectRefused");
    assert!(detail.contains(&closed.to_string()), "{detail}");
}

#[test]
fn a_backend_that_verifies_keys_elsewhere_is_named_before_the_ping_times_out() {
    // It accepts connections and answers nothing, like the authoritative server of the outside behind a firewall.
    let elsewhere = TcpListener::bind((BACKEND, 0)).unwrap();
    let (_world, seen) = world(|ground, config| {
        let acceptor = Acceptor {
            domain: LOCAL.to_owned(),
            // Not checked: dialback decides.
            identity: ground.authority.issue(&["elsewhere.example"]).unwrap(),
            roots: ground.backend_ca.roots().unwrap(),
            proof: Proof::Dialback { authority: elsewhere.local_addr().unwrap() },
            secret: secret_of(LOCAL),
            timeout: DEADLINE,
        };
        let server = Server::start((BACKEND, 0).into(), acceptor).unwrap();
        put_backend(config, server.address());
        config["backends"][0]["server"]["authentication"] = json!("Dialback");
        // It serves until the process ends.
        std::mem::forget(server);
    });
    let detail = await_outcome(
        || {
            let now = seen();
            assert_ne!(now["backends"][0]["outcome"], "ConnectTimedOut");
            now
        },
        "BackendDialbackFailed",
    );
    assert!(detail.contains("did not answer our dialback key in time"), "{detail}");
}

#[test]
fn a_certificate_of_another_authority_is_untrusted() {
    let (_world, seen) = world(|ground, config| {
        put_backend(config, server(LOCAL, &ground.authority, &ground.backend_ca));
    });
    await_outcome(seen, "BackendCertificateUntrusted");
}

#[test]
fn a_certificate_of_another_domain_is_untrusted() {
    let (_world, seen) = world(|ground, config| {
        put_backend(config, server("other.example", &ground.backend_ca, &ground.backend_ca));
    });
    await_outcome(seen, "BackendCertificateUntrusted");
}

#[test]
fn a_backend_that_does_not_host_the_domain_is_named() {
    let host_unknown = b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='other.example' id='1' version='1.0'><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>";
    let (_world, seen) = world(|_, config| put_backend(config, answering(host_unknown)));
    await_outcome(seen, "DomainNotHosted");
}

#[test]
fn garbage_and_other_protocols_on_the_port_are_quoted() {
    for (bytes, outcome, quoted) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "NotXmpp", "HTTP/1.1 400 Bad Request"),
        (&b"<html><body>400 Bad Request</body></html>"[..], "NotXmpp", "<html>"),
        (&b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..], "NotXmpp", "SSH-2.0-OpenSSH_9.2p1"),
        (&b"<stream:stream><![CDATA[<<<>>>&&&"[..], "NotXmpp", "does not speak XMPP"),
        (&[0xff; 64][..], "NotXmpp", "does not speak XMPP"),
        // A TLS alert: unexpected_message.
        (&[0x15, 3, 1, 0, 2, 2, 10][..], "NotXmpp", "the port probably expects Direct TLS"),
        (&b""[..], "StreamFailed", "the connection broke"),
    ] {
        let (_world, seen) = world(|_, config| put_backend(config, answering(bytes)));
        let detail = await_outcome(seen, outcome);
        assert!(detail.contains(quoted), "{bytes:?}: {detail}");
    }
}

/// Answers stanzas of the engine on the backend's own stream to the probe domain, until `answer` is done.
fn answering_until(world: &World, own: &mut Stream, mut answer: impl FnMut(&Element) -> Answer) {
    loop {
        let stanza = world.backend.stanza().unwrap();
        let id = stanza.attribute("id").unwrap();
        let (payload, done) = match answer(&stanza) {
            Answer::Result(payload) => (payload, false),
            Answer::Last(payload) => (payload, true),
        };
        own.send(format!("<iq type='result' from='{LOCAL}' to='{PROBE}' id='{id}'>{payload}</iq>"))
            .unwrap();
        if done {
            return;
        }
    }
}

enum Answer {
    Result(String),
    Last(String),
}

fn asks(stanza: &Element, namespace: &str) -> bool {
    assert_eq!(stanza.attribute("from"), Some(PROBE), "{stanza}");
    assert_eq!(stanza.attribute("to"), Some(LOCAL), "{stanza}");
    stanza.child(namespace, "query").is_some()
}

#[test]
fn xep0092_a_server_is_asked_for_its_name_and_version_after_a_round_trip() {
    let (world, seen) = world(|_, _| {});
    let mut own = world.stream_from_backend(PROBE).unwrap();
    answering_until(&world, &mut own, |stanza| {
        if asks(stanza, "jabber:iq:version") {
            let version = "<name> Pro\nsody&#x7f; </name><version>0.12.3</version><os>secret</os>";
            return Answer::Result(format!("<query xmlns='jabber:iq:version'>{version}</query>"));
        }
        if asks(stanza, "http://jabber.org/protocol/disco#info") {
            let identity = "<identity category='server' type='im' name='another name'/>";
            return Answer::Last(format!(
                "<query xmlns='http://jabber.org/protocol/disco#info'>{identity}</query>"
            ));
        }
        Answer::Result(String::new())
    });
    let expected =
        json!([{"backend": "im", "domain": LOCAL, "name": "Pro sody", "version": "0.12.3"}]);
    eventually("the server", &expected, || Ok(seen()["servers"].clone())).unwrap();
}

#[test]
fn xep0030_3_1_a_server_without_version_is_known_by_its_identity() {
    let (world, seen) = world(|_, _| {});
    let mut own = world.stream_from_backend(PROBE).unwrap();
    let mut asked = 0;
    answering_until(&world, &mut own, |stanza| {
        if asks(stanza, "http://jabber.org/protocol/disco#info") {
            let identity = "<identity category='server' type='im' name='ejabberd'/>";
            return Answer::Last(format!(
                "<query xmlns='http://jabber.org/protocol/disco#info'>{identity}</query>"
            ));
        }
        if asks(stanza, "jabber:iq:version") {
            // No name in it.
            asked += 1;
            return Answer::Result("<query xmlns='jabber:iq:version'/>".to_owned());
        }
        Answer::Result(String::new())
    });
    assert_eq!(asked, 1);
    let expected = json!([{"backend": "im", "domain": LOCAL, "name": "ejabberd"}]);
    eventually("the server", &expected, || Ok(seen()["servers"].clone())).unwrap();
}

#[test]
fn a_backend_that_no_longer_answers_is_told_from_one_that_never_has() {
    let (world, seen) = world(|_, _| {});
    let mut own = world.stream_from_backend(PROBE).unwrap();
    answering_until(&world, &mut own, |_| Answer::Last(String::new()));
    let detail = await_outcome(seen, "DoesNotAnswer");
    assert!(detail.contains("answered earlier pings for local.example"), "{detail}");
}

#[test]
fn how_far_a_backend_came_is_reported() {
    let dns = claim::port().unwrap();
    let (world, seen) = world(|_, config| {
        config["listen"]["dns"] = json!(dns.to_string());
        config["splitHorizon"] =
            json!({"address": "127.0.0.1", "port": 15269, "clients": [format!("{BACKEND}/32")]});
    });
    for source in [BACKEND, STRANGER] {
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        let name = Name::from_ascii(format!("_xmpp-server._tcp.{PROBE}.")).unwrap();
        query.add_query(Query::query(name, RecordType::SRV));
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.send_to(&query.to_vec().unwrap(), dns).unwrap();
        socket.recv(&mut [0; 1500]).unwrap();
    }
    // It trusts another authority than the one that issued the engine's certificate.
    let identity = world.ground.backend_ca.issue(&[LOCAL]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    world.from_backend(&identity, &roots, PROBE).external().unwrap_err();

    let parts = |contact: &Value| {
        let text = |field: &str| contact[field].as_str().unwrap_or_default().to_owned();
        [text("kind"), text("source"), text("domain")]
    };
    let contacts = || {
        let now = seen();
        let contacts = now["contacts"].as_array().cloned().unwrap_or_default();
        Ok(contacts.iter().map(parts).collect::<Vec<_>>())
    };
    let expected = [
        ["QueryAnswered", "127.0.0.4", ""],
        ["QueryRefused", "127.0.0.9", ""],
        ["StreamRefused", "127.0.0.1", LOCAL],
    ];
    let expected: Vec<_> = expected.map(|words| words.map(str::to_owned)).into();
    eventually("the contacts", &expected, contacts).unwrap();
    let detail = seen()["contacts"][2]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("UnknownCA"), "{detail}");
}
