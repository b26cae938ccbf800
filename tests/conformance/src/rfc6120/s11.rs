//! RFC 6120 §11: XML.

use s2s_peer::error::PeerError;
use s2s_peer::namespace::STREAMS;

use crate::Check;
use crate::ending::{Ending, expect_error};
use crate::header::Header;
use crate::outcome::{Finding, Obstacle, ensure, violated};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 12,
        section: "RFC 6120 §11.5, §11.6",
        sentence: "the XML declaration is optional, standalone is ignored or answered with \
                   restricted-xml, an encoding other than UTF-8 is answered with unsupported-encoding",
        run: declaration,
    },
    Check {
        id: 62,
        section: "RFC 6120 §11.1",
        sentence: "comments, processing instructions, DTDs and entities are answered with restricted-xml",
        run: restricted,
    },
];

fn declaration(target: &Target) -> Finding {
    target.clear(&Header { declaration: "", ..target.header() })?;
    let standalone = "<?xml version='1.0' standalone='no'?>";
    let mut stream = target.connect()?;
    stream.send(Header { declaration: standalone, ..target.header() }.to_string())?;
    stream.header()?;
    match stream.features() {
        Ok(_) => {}
        Err(PeerError::Stream { condition, .. }) if condition == "restricted-xml" => {}
        Err(error) => return violated(format!("standalone='no': {error}")),
    }
    for encoding in ["iso-8859-1", "UTF-16"] {
        let declaration = format!("<?xml version='1.0' encoding='{encoding}'?>");
        let mut stream = target.connect()?;
        stream.send(Header { declaration: &declaration, ..target.header() }.to_string())?;
        expect_error(&mut stream, &["unsupported-encoding"]).map_err(named(encoding))?;
    }
    let wide: Vec<u8> =
        target.header().to_string().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut stream = target.connect()?;
    stream.send(wide)?;
    let ending = Ending::of(&mut stream)?;
    let accepted = ending.elements.iter().any(|element| element.is(STREAMS, "features"));
    ensure(!accepted, || format!("UTF-16 was accepted: {}", ending.seen()))
}

fn restricted(target: &Target) -> Finding {
    let doctype = format!(
        "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>{}",
        Header { declaration: "", ..target.header() }
    );
    let mut stream = target.connect()?;
    stream.send(&doctype)?;
    expect_error(&mut stream, &["restricted-xml"]).map_err(named("DOCTYPE"))?;
    for inside in ["<!-- a comment -->", "<?a pi?>", "<a xmlns='urn:example:a'>&b;</a>"] {
        let mut stream = target.clear(&target.header())?.stream;
        stream.send(inside)?;
        expect_error(&mut stream, &["restricted-xml"]).map_err(named(inside))?;
    }
    Ok(())
}

fn named(what: &str) -> impl FnOnce(Obstacle) -> Obstacle {
    move |obstacle| match obstacle {
        Obstacle::Violated(seen) => Obstacle::Violated(format!("{what}: {seen}")),
        other @ Obstacle::NotApplicable(_) => other,
    }
}
