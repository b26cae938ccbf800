//! Errors for a sender whose stanza does not arrive: the real engine program between scripted servers. Loopback only.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use harness::loopback::{
    CLOSED, DEADLINE, LOCAL, ORDINARY, PEER, World, eventually, put_backend, until,
};
use harness::program::engine;
use s2s_peer::acceptor::Acceptor;
use s2s_peer::element::Element;
use s2s_peer::error::Result as PeerResult;
use s2s_peer::namespace::{SERVER, STANZA_ERRORS};
use s2s_peer::server::{Event, Server};
use serde_json::json;

fn message(id: impl std::fmt::Display) -> String {
    format!(
        "<message from='juliet@{LOCAL}/b' to='tybalt@{CLOSED}' id='{id}' type='chat'>\
         <body>Hi</body></message>"
    )
}

fn request(id: &str) -> String {
    format!(
        "<iq from='juliet@{LOCAL}/b' to='{CLOSED}' id='{id}' type='get'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    )
}

fn join(id: &str) -> String {
    format!(
        "<presence from='juliet@{LOCAL}/b' to='room@{CLOSED}/juliet' id='{id}'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
}

/// The next error that a server receives.
fn next_error(server: &Server) -> PeerResult<Element> {
    server.wait("an error", |event| match event {
        Event::Stanza { stanza, .. } if stanza.attribute("type") == Some("error") => Some(stanza),
        _ => None,
    })
}

/// Type, condition and text of an error.
fn error(stanza: &Element) -> Option<(&str, &str, &str)> {
    let error = stanza.child(SERVER, "error")?;
    let condition = error.children.iter().find(|child| child.namespace == STANZA_ERRORS)?;
    let text = error.child(STANZA_ERRORS, "text").map_or("", |text| text.text.as_str());
    Some((error.attribute("type")?, &condition.name, text))
}

/// Reads until that text arrives.
fn read_until(tcp: &mut TcpStream, awaited: &str) -> io::Result<()> {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(awaited.as_bytes()) {
        tcp.read_exact(&mut byte)?;
        read.extend_from_slice(&byte);
    }
    Ok(())
}

/// A server that accepts STARTTLS and answers the handshake with this alert.
fn alerting(address: SocketAddr, alert: u8) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            // The engine and this thread end with the test.
            let _ = (|| {
                read_until(&mut tcp, "version='1.0'>")?;
                let header = format!(
                    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                     from='{CLOSED}' id='1' version='1.0'><stream:features>\
                     <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
                );
                tcp.write_all(header.as_bytes())?;
                read_until(&mut tcp, "/>")?;
                tcp.write_all(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
                // The first record is the ClientHello.
                let mut head = [0; 5];
                tcp.read_exact(&mut head)?;
                let [.., high, low] = head;
                let mut hello = vec![0; usize::from(u16::from_be_bytes([high, low]))];
                tcp.read_exact(&mut hello)?;
                tcp.write_all(&[21, 3, 3, 0, 2, 2, alert])
            })();
        }
    });
    Ok(())
}

#[test]
fn where_a_person_waits_the_error_comes_at_once_and_messages_wait() {
    /// RFC 8446 §6.
    const PROTOCOL_VERSION: u8 = 70;
    const UNKNOWN_CA: u8 = 48;
    for (alert, cause) in [
        (None, "connection refused"),
        (
            Some(PROTOCOL_VERSION),
            "the peer accepts none of the offered parameters (TLS alert ProtocolVersion). The engine offered TLSv1_3",
        ),
        (
            Some(UNKNOWN_CA),
            "the peer refused our certificate for local.example (TLS alert UnknownCA)",
        ),
    ] {
        let world = World::start_with(engine(), ORDINARY, |_, config| {
            // If the engine held all of them, the errors would come too late for this test.
            config["timeouts"] = json!({"queueSeconds": DEADLINE.as_secs() * 4});
        })
        .unwrap();
        if let Some(alert) = alert {
            alerting(world.closed, alert).unwrap();
        }
        let mut stream = world.stream_from_backend(CLOSED).unwrap();
        for stanza in [message("m1"), request("i1"), message("m2"), join("p1")] {
            stream.send(stanza).unwrap();
        }
        let reported = |id: &str| {
            let reported = next_error(&world.backend).unwrap();
            assert_eq!(reported.attribute("id"), Some(id), "{reported}");
            let (kind, condition, text) = error(&reported).unwrap();
            assert_eq!((kind, condition), ("wait", "remote-server-timeout"), "{reported}");
            assert!(text.contains(cause), "{cause}: {reported}");
        };
        reported("i1");
        reported("p1");
        // Between attempts the answer is equally fast.
        stream.send(request("i2")).unwrap();
        reported("i2");
        eventually("the messages in the queue", &2, || world.count("stanzas_queued", &[])).unwrap();
        if alert.is_none() {
            let back = Server::start(world.closed, world.acceptor(CLOSED).unwrap()).unwrap();
            for id in ["m1", "m2"] {
                assert_eq!(back.message().unwrap().attribute("id"), Some(id));
            }
        }
    }
}

/// Answer of a server to a stanza that it cannot read, on the stream that carried the stanza.
fn answer(stanza: &Element) -> String {
    let address = |name| stanza.attribute(name).unwrap_or_default();
    format!(
        "<message from='{}' to='{}' id='{}' type='error'><error type='modify'>\
         <bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        address("to"),
        address("from"),
        address("id")
    )
}

/// Serves that domain there, and answers every message on the stream that carried it.
fn answering(acceptor: Acceptor, listener: TcpListener) {
    let acceptor = Arc::new(acceptor);
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let acceptor = Arc::clone(&acceptor);
            // These threads end with the engine.
            thread::spawn(move || -> PeerResult<()> {
                let Some(mut session) = acceptor.accept(tcp)? else { return Ok(()) };
                loop {
                    let stanza = session.stream.element("a stanza")?;
                    if stanza.name == "message" {
                        session.stream.send(answer(&stanza))?;
                    }
                }
            });
        }
    });
}

#[test]
fn an_error_on_the_stream_of_its_stanza_reaches_the_sender() {
    let world = World::start(engine(), ORDINARY).unwrap();
    answering(world.acceptor(CLOSED).unwrap(), TcpListener::bind(world.closed).unwrap());
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    for id in ["m1", "m2"] {
        backend.send(message(id)).unwrap();
        let reported = next_error(&world.backend).unwrap();
        assert_eq!(reported.attribute("id"), Some(id), "{reported}");
        assert_eq!(error(&reported), Some(("modify", "bad-request", "")), "{reported}");
    }
}

#[test]
fn an_error_of_a_backend_on_the_stream_of_its_stanza_reaches_the_peer() {
    let listener = TcpListener::bind("127.0.0.4:0").unwrap();
    let backend = listener.local_addr().unwrap();
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        put_backend(config, backend);
        let acceptor = ground.backend_acceptor().unwrap();
        answering(acceptor, listener);
    })
    .unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    for id in ["m1", "m2"] {
        let message =
            format!("<message from='romeo@{PEER}/r' to='juliet@{LOCAL}' id='{id}' type='chat'/>");
        peer.send(message).unwrap();
        let reported = next_error(&world.peer).unwrap();
        assert_eq!(reported.attribute("id"), Some(id), "{reported}");
    }
}

#[test]
fn what_a_peer_sends_in_place_of_a_stream_is_in_its_own_words() {
    for (sent, said) in [
        (
            "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>not here</text></stream:error>",
            "the peer closed the stream with host-unknown (\"not here\")",
        ),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "begins with \"HTTP/1.1 400 Bad Request"),
    ] {
        let world = World::start(engine(), ORDINARY).unwrap();
        let listener = TcpListener::bind(world.closed).unwrap();
        thread::spawn(move || {
            for mut tcp in listener.incoming().flatten() {
                let _ = read_until(&mut tcp, "version='1.0'>");
                let _ = tcp.write_all(sent.as_bytes());
            }
        });
        let mut stream = world.stream_from_backend(CLOSED).unwrap();
        stream.send(message("m")).unwrap();
        let reported = next_error(&world.backend).unwrap();
        let (_, condition, text) = error(&reported).unwrap();
        assert_eq!(condition, "remote-server-timeout", "{reported}");
        assert!(text.contains(said), "{said}: {reported}");
    }
}

#[test]
fn a_stream_that_the_engine_ends_says_at_which_element() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    peer.send("<query xmlns='jabber:client' from='romeo@peer.example'/>").unwrap();
    peer.element("the end of the stream").unwrap_err();
    let said = "the engine closed the stream with unsupported-stanza-type: the element is not a stanza: \
                <query xmlns='jabber:client'/>";
    until("the cause in the log", || world.engine.log().contains(said)).unwrap();

    let peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    peer.close().unwrap();
    let said = "the peer closed the stream without an error";
    until("the end in the log", || world.engine.log().contains(said)).unwrap();
}
