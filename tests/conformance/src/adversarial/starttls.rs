//! B: STARTTLS and TLS.

use std::io::Write as _;

use s2s_peer::namespace::{DIALBACK, TLS};
use s2s_peer::unverified::server_that_takes_any;

use super::{Case, Proof};
use crate::dialled::Dialled;
use crate::ending::{Ending, rest};
use crate::opened::Opened;
use crate::outcome::{Finding, ensure, not_applicable, violated};
use crate::target::Target;
use crate::tls::Client;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "B1",
        sentence: "unencrypted data after <starttls/> is never read inside TLS",
        proof: Proof::Statement(17),
    },
    Case {
        name: "B2",
        sentence: "data after <proceed/> in the same packet is never read inside TLS",
        proof: Proof::Check(after_proceed),
    },
    Case {
        name: "B3",
        sentence: "a peer that hides STARTTLS gets no unencrypted data if TLS is required",
        proof: Proof::Test(
            "federation-engine/proto/src/stream/tests/initiating.rs",
            "nothing_but_starttls_is_ever_sent_in_the_clear_where_tls_is_required",
        ),
    },
    Case {
        name: "B4",
        sentence: "<proceed/> without <starttls/> does not start TLS",
        proof: Proof::Check(proceed_unasked),
    },
    Case {
        name: "B5",
        sentence: "<starttls/> inside TLS is refused",
        proof: Proof::Check(starttls_inside_tls),
    },
    Case {
        name: "B6",
        sentence: "a failed handshake closes TCP without </stream:stream>",
        proof: Proof::Statement(18),
    },
    Case {
        name: "B7",
        sentence: "TLS is not renegotiated",
        proof: Proof::Construction("rustls has no renegotiation"),
    },
    Case {
        name: "B8",
        sentence: "HTTP, SSH and SSLv2 are closed at once; TLS from the first byte is served or closed",
        proof: Proof::Check(other_protocols),
    },
    Case {
        name: "B9",
        sentence: "an unfinished handshake ends at the negotiation timeout",
        proof: Proof::Check(slow_handshake),
    },
    Case {
        name: "B10",
        sentence: "a stanza that a broken connection truncates is not delivered",
        proof: Proof::Check(cut_stanza),
    },
    Case {
        name: "B11",
        sentence: "Direct TLS without ALPN, or with the ALPN of clients, does no harm",
        proof: Proof::Check(other_alpn),
    },
    Case {
        name: "B12",
        sentence: "new streams use a new certificate, and existing streams continue",
        proof: Proof::Test(
            "tests/engine/tests/engine_loopback.rs",
            "new_certificate_and_configuration_are_used_without_losing_a_verified_stream",
        ),
    },
    Case {
        name: "B13",
        sentence: "streams close, with an error, when the target's own certificate expires",
        proof: Proof::Test(
            "tests/engine/tests/engine_links.rs",
            "rfc6120_13_7_2_3_streams_in_both_directions_end_with_our_certificate",
        ),
    },
    Case {
        name: "B14",
        sentence: "no session is resumed, so every certificate is verified",
        proof: Proof::Test(
            "federation-engine/src/tls/config/tests.rs",
            "nothing_is_resumed_even_for_a_client_that_would",
        ),
    },
];

fn after_proceed(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let mut opened = target.make_verify(peer)?;
    let offer = format!("<starttls xmlns='{TLS}'><required/></starttls>");
    let mut stream = Dialled::greet(target.accept()?, &offer)?.stream;
    stream.expect(TLS, "starttls", "STARTTLS")?;
    let id = opened.id();
    // A complete conversation that would confirm the key.
    stream.send(format!(
        "<proceed xmlns='{TLS}'/><stream:stream xmlns='jabber:server' xmlns:db='{DIALBACK}' \
         xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='{peer}' to='{domain}' id='b2'>\
         <stream:features/><db:verify from='{peer}' to='{domain}' id='{id}' type='valid'/>"
    ))?;
    let identity = target.identity(&[peer])?;
    drop(stream.secured_as_server(server_that_takes_any(&identity)?));
    let verdict = opened.stream.expect(DIALBACK, "result", "the verdict on a dialback key")?;
    ensure(verdict.attribute("type") != Some("valid"), || verdict.to_string())
}

fn proceed_unasked(target: &Target) -> Finding {
    let mut stream = target.clear(&target.header())?.stream;
    stream.send(format!("<proceed xmlns='{TLS}'/></stream:stream>"))?;
    let (said, _) = rest(&mut stream)?;
    ensure(!said.contains('\u{16}'), || format!("it was answered by {said:?}"))
}

fn starttls_inside_tls(target: &Target) -> Finding {
    let mut stream = target.encrypted(&target.header(), None)?.stream;
    stream.send(format!("<starttls xmlns='{TLS}'/></stream:stream>"))?;
    let ending = Ending::of(&mut stream)?;
    let proceeds = ending.elements.iter().any(|one| one.is(TLS, "proceed"));
    ensure(!proceeds, || ending.seen())
}

fn other_protocols(target: &Target) -> Finding {
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"\0\0\0\0\0\0\0\0",
    ] {
        let mut stream = target.connect()?;
        stream.send(bytes)?;
        rest(&mut stream)?;
    }
    let client = Client::new(None, true)?;
    if let Ok(stream) = target.connect()?.secured_as_client(client.config, &target.domain) {
        Opened::greet(stream, &target.header())?;
    }
    target.clear(&target.header()).map(drop)
}

fn slow_handshake(target: &Target) -> Finding {
    let mut stream = target.proceeding(&target.header())?;
    // The first bytes of a record, and no more.
    stream.send([0x16, 0x03, 0x01, 0x02, 0x00])?;
    rest(&mut stream).map(drop)
}

fn cut_stanza(target: &Target) -> Finding {
    let inside = target.inside()?;
    let (peer, domain) = (&target.peer, &target.domain);
    let mut stream = target.authenticated()?;
    stream.send(format!(
        "<message from='romeo@{peer}' to='juliet@{domain}' id='case-b10cut'><body>I owe you 10"
    ))?;
    stream.transport().flush().map_err(s2s_peer::error::PeerError::io("sending"))?;
    drop(stream);
    let mut stream = target.authenticated()?;
    stream
        .send(format!("<message from='romeo@{peer}' to='juliet@{domain}' id='case-b10good'/>"))?;
    let first = inside.received("case-b10")?;
    ensure(first.attribute("id") == Some("case-b10good"), || {
        format!("the forbidden stanza was delivered: {first}")
    })
}

fn other_alpn(target: &Target) -> Finding {
    let Some(address) = target.direct_tls else {
        return not_applicable("it needs the target's port for Direct TLS (--direct-tls)");
    };
    let connect = || s2s_peer::stream::Stream::connect(address, target.timeout);
    let without = Client::new(None, false)?.config;
    let stream = connect()?.secured_as_client(without, &target.domain);
    if let Ok(stream) = stream {
        Opened::greet(stream, &target.header())?;
    }
    let mut of_clients = (*Client::new(None, false)?.config).clone();
    of_clients.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let stream = connect()?.secured_as_client(of_clients.into(), &target.domain);
    if let Ok(mut stream) = stream {
        stream.send(target.header().to_string())?;
        if stream.header().is_ok_and(|header| header.name != "stream") {
            return violated("a client-to-server port answered");
        }
    }
    Ok(())
}
