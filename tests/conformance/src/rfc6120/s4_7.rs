//! RFC 6120 §4.7: attributes of the stream header.

use s2s_peer::namespace::{SASL, STREAMS, TLS};

use crate::Check;
use crate::ending::Ending;
use crate::header::Header;
use crate::opened::Opened;
use crate::outcome::{Finding, ensure};
use crate::target::{Target, send_auth};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 2,
        section: "RFC 6120 §4.7.3",
        sentence: "an id in the initial header is ignored, even an empty one",
        run: initial_id,
    },
    Check {
        id: 4,
        section: "RFC 6120 §4.7.1, §4.7.2",
        sentence: "the response header has the addressed domain in 'from' and the peer's domain in 'to'",
        run: addresses_are_swapped,
    },
    Check {
        id: 6,
        section: "RFC 6120 §4.7.5",
        sentence: "versions are compared as numbers, the lower one is used, and 2.0 is not an error",
        run: higher_versions,
    },
    Check {
        id: 7,
        section: "RFC 6120 §4.7.5",
        sentence: "a header without a version is answered without a version and without features",
        run: no_version,
    },
    Check {
        id: 13,
        section: "RFC 6120 §4.7.1, §4.3.6, §5.4.3.3",
        sentence: "'from' may be absent before TLS, and its value before TLS authenticates nothing after TLS",
        run: from_before_tls,
    },
    Check {
        id: 14,
        section: "RFC 6120 §4.7.4",
        sentence: "the response header has xml:lang; that of the peer's header is the default of its stanzas",
        run: language,
    },
];

fn initial_id(target: &Target) -> Finding {
    for extra in [" id=''", " id='ours'"] {
        let opened = target.clear(&Header { extra, ..target.header() })?;
        ensure(!matches!(opened.id().as_str(), "" | "ours"), || opened.header.to_string())?;
    }
    Ok(())
}

fn addresses_are_swapped(target: &Target) -> Finding {
    for header in [target.clear(&target.header())?.header, target.certified()?.header] {
        let good = header.attribute("from") == Some(&target.domain)
            && header.attribute("to") == Some(&target.peer);
        ensure(good, || header.to_string())?;
    }
    Ok(())
}

fn higher_versions(target: &Target) -> Finding {
    for version in ["2.0", "1.10", "1.1"] {
        let header = target.clear(&Header { version: Some(version), ..target.header() })?.header;
        ensure(header.attribute("version") == Some("1.0"), || {
            format!("version {version} was answered with {header}")
        })?;
    }
    Ok(())
}

fn no_version(target: &Target) -> Finding {
    let mut stream = target.connect()?;
    stream.send(Header { version: None, ..target.header() }.to_string())?;
    let header = stream.header()?;
    ensure(header.attribute("version").is_none(), || header.to_string())?;
    stream.send("</stream:stream>")?;
    let ending = Ending::of(&mut stream)?;
    let features = ending.elements.iter().any(|element| element.is(STREAMS, "features"));
    ensure(!features, || ending.seen())
}

fn from_before_tls(target: &Target) -> Finding {
    let nameless = Header { from: None, ..target.header() };
    let opened = target.clear(&nameless)?;
    ensure(opened.features.child(TLS, "starttls").is_some(), || opened.features.to_string())?;

    // A certificate for another domain, which only the header before TLS names.
    let other = target.below("other");
    let identity = target.identity(&[&other])?;
    let before = Header { from: Some(&other), ..target.header() };
    for after in [target.header(), nameless] {
        let stream = target.secured(&before, Some(&identity))?;
        // Closing the stream is as good as not offering EXTERNAL. An offer that fails authenticates nothing either.
        let Ok(mut opened) = Opened::greet(stream, &after) else { continue };
        if !opened.offers_external() {
            continue;
        }
        send_auth(&mut opened.stream, "=")?;
        let accepted = opened.stream.expect(SASL, "success", "the answer to SASL EXTERNAL").is_ok();
        let who = after.from.unwrap_or("a header without 'from'");
        ensure(!accepted, || format!("EXTERNAL succeeded for {who}"))?;
    }
    Ok(())
}

fn language(target: &Target) -> Finding {
    for opened in [target.clear(&target.header())?, target.certified()?] {
        ensure(opened.header.attribute("xml:lang").is_some(), || opened.header.to_string())?;
    }
    let Some(inside) = &target.inside else { return Ok(()) };
    let (peer, domain) = (&target.peer, &target.domain);
    let mut stream =
        target.external(&Header { extra: " xml:lang='de'", ..target.header() })?.stream;
    for (lang, expected) in [("", "de"), (" xml:lang='fr'", "fr")] {
        stream.send(format!(
            "<message from='romeo@{peer}/r' to='juliet@{domain}' id='s14'{lang}><body>x</body></message>"
        ))?;
        let relayed = inside.received("s14")?;
        ensure(relayed.attribute("xml:lang") == Some(expected), || relayed.to_string())?;
    }
    Ok(())
}
