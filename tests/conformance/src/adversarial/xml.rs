//! D: XML that different parsers interpret differently.

use super::{Case, Proof};
use crate::ending::Ending;
use crate::outcome::{Finding, ensure};
use crate::target::Target;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "D1",
        sentence: "DTDs, entities, comments and processing instructions are answered with restricted-xml",
        proof: Proof::Statement(62),
    },
    Case {
        name: "D2",
        sentence: "bytes that are not UTF-8, and characters that XML does not allow, close the stream",
        proof: Proof::Check(characters),
    },
    Case {
        name: "D3",
        sentence: "an attribute that occurs twice, by name or by namespace, closes the stream",
        proof: Proof::Check(attributes),
    },
    Case {
        name: "D4",
        sentence: "undeclared prefixes, and declarations of reserved ones, close the stream",
        proof: Proof::Check(prefixes),
    },
    Case {
        name: "D5",
        sentence: "mismatched tags, a second root and text between stanzas close the stream",
        proof: Proof::Check(tags),
    },
    Case {
        name: "D6",
        sentence: "a message in an unknown namespace and a stanza inside a stanza are not delivered as stanzas",
        proof: Proof::Check(look_alikes),
    },
    Case {
        name: "D7",
        sentence: "a prefix of the stream header that a stanza uses is declared in the relayed stanza",
        proof: Proof::Statement(57),
    },
    Case {
        name: "D8",
        sentence: "a stanza in the client namespace is not delivered as a server stanza",
        proof: Proof::Check(of_clients),
    },
    Case {
        name: "D9",
        sentence: "attribute values are decoded once and normalised",
        proof: Proof::Test(
            "federation-engine/proto/src/xml/tests/grammar.rs",
            "xml_3_3_3_attribute_values_are_decoded_once_and_normalised",
        ),
    },
    Case {
        name: "D10",
        sentence: "splitting the bytes differently makes no difference",
        proof: Proof::Test(
            "federation-engine/proto/src/xml/tests/splitting.rs",
            "arbitrary_bytes_never_make_a_difference_by_their_splitting",
        ),
    },
    Case {
        name: "D11",
        sentence: "other parsers see the same boundaries in accepted input",
        proof: Proof::Test(
            "federation-engine/tests/differential.rs",
            "generated_streams_are_read_alike",
        ),
    },
];

/// Each of these inputs inside a stanza must close the stream with an error.
fn each_ends(target: &Target, hostile: &[(&str, &[u8])]) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    for (what, bytes) in hostile {
        let mut stream = target.authenticated()?;
        let start = format!("<message from='x@{peer}' to='y@{domain}' id='d'>");
        let end = b"</message></stream:stream>";
        // The target may close the connection before everything is written.
        let _ = stream.send([start.as_bytes(), bytes, end].concat());
        let ending = Ending::of(&mut stream)?;
        ensure(ending.error.is_some(), || format!("{what}: {}", ending.seen()))?;
    }
    Ok(())
}

fn characters(target: &Target) -> Finding {
    each_ends(
        target,
        &[
            ("an overlong slash", b"\xc0\xaf"),
            ("a surrogate", b"\xed\xa0\x80"),
            ("a byte that never begins a character", b"\xff"),
            ("U+FFFE", b"\xef\xbf\xbe"),
            ("U+FFFF", b"\xef\xbf\xbf"),
            ("a control character", b"\x17"),
            ("NUL", b"\0"),
            ("a reference to NUL", b"&#0;"),
            ("a reference to a control character", b"&#x17;"),
            ("a reference beyond Unicode", b"&#x110000;"),
            ("a reference to a surrogate", b"&#xd800;"),
            ("a reference without an end", b"&amp x"),
            ("the end of CDATA in text", b"a ]]> b"),
        ],
    )
}

fn attributes(target: &Target) -> Finding {
    each_ends(
        target,
        &[
            ("twice", b"<a b='1' b='2'/>"),
            ("twice in other quotes", b"<a b='1' b=\"2\"/>"),
            ("twice by namespace", b"<a xmlns:p='urn:x' xmlns:q='urn:x' p:b='1' q:b='2'/>"),
            ("with <", b"<a b='<'/>"),
            ("without quotes", b"<a b=1/>"),
            ("without space", b"<a b='1'c='2'/>"),
        ],
    )
}

fn prefixes(target: &Target) -> Finding {
    each_ends(
        target,
        &[
            ("undeclared on an element", b"<p:a/>"),
            ("undeclared on an attribute", b"<a p:b=''/>"),
            ("empty", b"<a xmlns:p=''/>"),
            ("xmlns declared", b"<a xmlns:xmlns='urn:x'/>"),
            ("xml declared as another", b"<a xmlns:xml='urn:x'/>"),
            ("another declared as xml", b"<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>"),
            ("used before its end only", b"<a xmlns:p='urn:x'/><p:b/>"),
            ("a line feed in a name", b"<a xmlns:p='urn:x&#10;y'/>"),
        ],
    )
}

fn tags(target: &Target) -> Finding {
    each_ends(
        target,
        &[
            ("another end", b"<a></b>"),
            ("crossed", b"<a><b></a></b>"),
            ("one end too many", b"</message></a>"),
            ("text between stanzas", b"</message>text<message>"),
            ("a second header", b"</message><?xml version='1.0'?><message>"),
        ],
    )
}

fn look_alikes(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let inside = target.inside()?;
    for hostile in [
        format!(
            "<n:message xmlns:n='urn:example:x' from='x@{peer}' to='y@{domain}' id='case-d6bad'/>"
        ),
        format!(
            "<message from='x@{peer}' to='y z@{domain}' id='outer'>\
             <message from='x@{peer}' to='y@{domain}' id='case-d6bad'/></message>"
        ),
    ] {
        let mut stream = target.authenticated()?;
        let _ = stream.send(hostile + "</stream:stream>");
        Ending::of(&mut stream)?;
        let mut stream = target.authenticated()?;
        stream.send(format!("<message from='x@{peer}' to='y@{domain}' id='case-d6good'/>"))?;
        let first = inside.received("case-d6")?;
        ensure(first.attribute("id") == Some("case-d6good"), || {
            format!("the forbidden stanza was delivered: {first}")
        })?;
    }
    Ok(())
}

fn of_clients(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let inside = target.inside()?;
    let mut stream = target.authenticated()?;
    let _ = stream.send(format!(
        "<message xmlns='jabber:client' from='x@{peer}' to='y@{domain}' id='case-d8bad'/></stream:stream>"
    ));
    Ending::of(&mut stream)?;
    let mut stream = target.authenticated()?;
    stream.send(format!("<message from='x@{peer}' to='y@{domain}' id='case-d8good'/>"))?;
    let first = inside.received("case-d8")?;
    ensure(first.attribute("id") == Some("case-d8good"), || {
        format!("the forbidden stanza was delivered: {first}")
    })
}
