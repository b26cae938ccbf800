//! RFC 6120 §4.8: namespaces.

use s2s_peer::error::PeerError;
use s2s_peer::namespace::{CLIENT, SERVER, STREAMS};
use s2s_peer::server::Event;

use crate::Check;
use crate::ending::{Ending, expect_error};
use crate::header::Header;
use crate::outcome::{Finding, ensure, violated};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 9,
        section: "RFC 6120 §4.8.1, §4.8.2, §4.8.3",
        sentence: "another stream or content namespace is answered with invalid-namespace",
        run: wrong_namespaces,
    },
    Check {
        id: 10,
        section: "RFC 6120 §4.8.5",
        sentence: "a prefix other than 'stream' is accepted or answered with bad-namespace-prefix",
        run: other_prefix,
    },
    Check {
        id: 11,
        section: "RFC 6120 §4.8, XML 1.0 §3.1",
        sentence: "quotes of both kinds, any order of attributes, more declarations and white space are accepted",
        run: spellings,
    },
    Check {
        id: 56,
        section: "RFC 6120 §4.8.4",
        sentence: "an element in an unknown namespace is ignored or answered with unsupported-stanza-type, never routed",
        run: foreign_element,
    },
    Check {
        id: 57,
        section: "RFC 6120 §4.8.5",
        sentence: "a prefix of the stream header that a relayed stanza uses is declared in the stanza, or the stanza is refused",
        run: prefix_of_the_header,
    },
];

fn wrong_namespaces(target: &Target) -> Finding {
    let wrong = [
        Header { streams: "http://example.org/streams", ..target.header() },
        Header { content: CLIENT, ..target.header() },
        Header { content: "urn:example:nothing", ..target.header() },
    ];
    for header in wrong {
        let mut stream = target.connect()?;
        stream.send(header.to_string())?;
        expect_error(&mut stream, &["invalid-namespace"])?;
    }
    Ok(())
}

fn other_prefix(target: &Target) -> Finding {
    let mut stream = target.connect()?;
    stream.send(Header { prefix: "s", ..target.header() }.to_string())?;
    stream.header()?;
    match stream.features() {
        Ok(_) => Ok(()),
        Err(PeerError::Stream { condition, .. }) if condition == "bad-namespace-prefix" => Ok(()),
        Err(error) => violated(error.to_string()),
    }
}

fn spellings(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let spellings = [
        format!(
            "<stream:stream version=\"1.0\" to=\"{domain}\" from=\"{peer}\" xmlns:stream=\"{STREAMS}\" xmlns=\"{SERVER}\">"
        ),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stream:stream\n  xmlns:x = 'urn:example:x'\txmlns:stream='{STREAMS}'\n  \
             from = '{peer}' xmlns='{SERVER}' xmlns:y='urn:example:y' to='{domain}'\r\n version='1.0' >\n"
        ),
    ];
    for header in spellings {
        let mut stream = target.connect()?;
        stream.send(&header)?;
        stream.header()?;
        stream.features()?;
    }
    Ok(())
}

fn foreign_element(target: &Target) -> Finding {
    let mut stream = target.authenticated()?;
    let (peer, domain) = (&target.peer, &target.domain);
    stream.send(format!(
        "<thing xmlns='urn:example:nothing' from='romeo@{peer}/r' to='juliet@{domain}' id='s56'/></stream:stream>"
    ))?;
    let ending = Ending::of(&mut stream)?;
    let good = ending.elements.is_empty()
        && matches!(ending.error.as_deref(), None | Some("unsupported-stanza-type"));
    ensure(good, || ending.seen())?;
    let Some(inside) = &target.inside else { return Ok(()) };
    let routed = inside.server.events().into_iter().any(|event| {
        matches!(&event, Event::Stanza { stanza, .. } if stanza.attribute("id") == Some("s56"))
    });
    ensure(!routed, || "the element was routed".to_owned())
}

fn prefix_of_the_header(target: &Target) -> Finding {
    let inside = target.inside()?;
    let header = Header { extra: " xmlns:q='urn:example:q'", ..target.header() };
    let mut stream = target.external(&header)?.stream;
    let (peer, domain) = (&target.peer, &target.domain);
    stream.send(format!(
        "<message from='romeo@{peer}/r' to='juliet@{domain}' id='s57'><q:thing q:a='1'/></message></stream:stream>"
    ))?;
    let ending = Ending::of(&mut stream)?;
    if ending.error.is_some() {
        return Ok(());
    }
    let relayed = inside.received("s57")?;
    ensure(relayed.child("urn:example:q", "thing").is_some(), || relayed.to_string())
}
