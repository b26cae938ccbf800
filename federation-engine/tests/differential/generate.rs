//! Streams from a grammar that covers the differences between parsers, then damaged.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::vocabulary::{
    BYTES, DECLARATIONS, DECLARED, NAMESPACES, ODD_NAMES, ODD_TEXT, ODD_VALUES, TEXT, VALUES,
};

/// Real stanzas, part of the corpus of streams.
const STANZAS: &str = include_str!("stanzas.xml");

fn one<'a>(rng: &mut StdRng, choices: &[&'a str]) -> &'a str {
    choices.choose(rng).copied().unwrap_or_default()
}

fn chance(rng: &mut StdRng, percent: u32) -> bool {
    rng.random_ratio(percent, 100)
}

/// A whole stream as bytes.
pub(crate) fn stream(rng: &mut StdRng) -> Vec<u8> {
    let mut text = String::new();
    if chance(rng, 30) {
        let odd = chance(rng, 15);
        text.push_str(one(rng, if odd { DECLARATIONS } else { &DECLARATIONS[..4] }));
    }
    text.push_str(&header(rng));
    for _ in 0..rng.random_range(1..6) {
        if chance(rng, 15) {
            text.push_str(one(rng, &[" ", "\n", "\t\r\n", "   "]));
        }
        if chance(rng, 35) {
            text.push_str(one(rng, &STANZAS.lines().collect::<Vec<_>>()));
        } else {
            let depth = rng.random_range(0..4);
            element(rng, &mut text, depth, &mut Vec::new());
        }
    }
    if chance(rng, 30) {
        text.push_str(one(
            rng,
            &["</stream:stream>", "</stream:stream >", "</stream>", "</s:stream>"],
        ));
    }
    let mut bytes = text.into_bytes();
    for _ in 0..*[0, 0, 0, 0, 0, 0, 1, 1, 2, 4].choose(rng).unwrap_or(&0) {
        damage(rng, &mut bytes);
    }
    if chance(rng, 1) {
        bytes = String::from_utf8_lossy(&bytes).encode_utf16().flat_map(u16::to_be_bytes).collect();
    }
    bytes
}

fn header(rng: &mut StdRng) -> String {
    let mut text = if chance(rng, 95) {
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback'"
            .to_owned()
    } else {
        one(
            rng,
            &[
                "<stream xmlns='http://etherx.jabber.org/streams'",
                "<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams'",
                "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'",
                "<stream:stream",
            ],
        )
        .to_owned()
    };
    if chance(rng, 10) {
        attribute(rng, &mut text, 5);
    }
    if chance(rng, 30) {
        text.push_str(" xmlns:x='urn:x' xmlns:y=\"urn:&#120;\"");
    }
    text.push_str(one(rng, &[" to='a.example' version='1.0'>", " id='1'>", ">", " \n>"]));
    text
}

fn name(rng: &mut StdRng) -> String {
    let plain =
        one(rng, &["message", "iq", "presence", "body", "a", "b", "x", "_", "a-b.c1", "result"]);
    match rng.random_range(0..20) {
        0 => one(rng, ODD_NAMES).to_owned(),
        1 | 2 => format!("{plain}{}", one(rng, ODD_NAMES)),
        3 => {
            let any = char::from_u32(rng.random_range(0x80..0x3200)).unwrap_or('a');
            if chance(rng, 50) { any.to_string() } else { format!("{plain}{any}") }
        }
        _ => plain.to_owned(),
    }
}

fn prefix(rng: &mut StdRng) -> &'static str {
    one(
        rng,
        &[
            "", "", "", "", "", "db:", "stream:", "x:", "y:", "xml:", "xmlns:", "z:", ":", "x:y:",
            "Xml:",
        ],
    )
}

fn value(rng: &mut StdRng, odd: u32) -> String {
    (0..*[0, 1, 1, 1, 2, 3].choose(rng).unwrap_or(&1))
        .map(|_| {
            let from = if chance(rng, odd) { ODD_VALUES } else { VALUES };
            one(rng, from)
        })
        .collect()
}

fn attribute(rng: &mut StdRng, out: &mut String, odd: u32) {
    let space = if chance(rng, odd / 4) { &["", "\n", "\t ", "\r\n"][..] } else { &[" "] };
    out.push_str(one(rng, space));
    let declared = chance(rng, 25);
    let strange = chance(rng, odd + 1);
    if declared {
        let names = if strange { DECLARED } else { &DECLARED[..3] };
        out.push_str(one(rng, names));
    } else if chance(rng, 60) {
        out.push_str(one(rng, &["from", "to", "id", "type", "xml:lang", "xml:space"]));
    } else if strange {
        out.push_str(prefix(rng));
        out.push_str(&name(rng));
    } else {
        out.push_str(one(rng, &["db:", "stream:", "xml:", "", ""]));
        out.push_str(one(rng, &["a", "b", "c", "d", "e", "\u{E9}", "\u{4E00}\u{B7}"]));
    }
    out.push_str(if chance(rng, odd / 4) {
        one(rng, &[" =", "= ", "\n=\n", "", "=="])
    } else {
        "="
    });
    let text = if declared {
        let usual = &["urn:x", "urn:y", "jabber:client", "jabber:server"];
        let from = if chance(rng, 97 - odd) { &usual[..] } else { NAMESPACES };
        one(rng, from).to_owned()
    } else if chance(rng, 90 - odd) {
        one(rng, &["a@a.example/r", "b.example", "get", "1", "chat", "de", ""]).to_owned()
    } else {
        value(rng, odd)
    };
    let quote = if text.contains('\'') { "\"" } else { one(rng, &["'", "'", "\""]) };
    out.push_str(quote);
    out.push_str(&text);
    out.push_str(if chance(rng, odd / 10) { one(rng, &["'", "\"", ""]) } else { quote });
}

fn element(rng: &mut StdRng, out: &mut String, depth: u32, declared: &mut Vec<&'static str>) {
    let odd = *[0, 0, 0, 2, 10, 30].choose(rng).unwrap_or(&2);
    let prefix = match rng.random_range(0..100) {
        0..75 => "",
        75..90 => one(rng, &["db:", "stream:"]),
        _ if !declared.is_empty() => declared.choose(rng).copied().unwrap_or_default(),
        _ if chance(rng, odd) => prefix(rng),
        _ => "",
    };
    let name = if chance(rng, odd * 3) {
        name(rng)
    } else {
        one(rng, &["message", "iq", "presence", "a"]).to_owned()
    };
    out.push('<');
    out.push_str(prefix);
    out.push_str(&name);
    let mark = declared.len();
    if chance(rng, 20) {
        let (attribute, prefix) =
            *[(" xmlns:x='urn:x'", "x:"), (" xmlns:y='urn:y'", "y:"), (" xmlns:y='urn:x'", "y:")]
                .choose(rng)
                .unwrap_or(&("", ""));
        out.push_str(attribute);
        declared.push(prefix);
    }
    for _ in 0..rng.random_range(0..if odd < 10 { 3 } else { 5 }) {
        attribute(rng, out, odd);
    }
    if declared.len() > 1 && chance(rng, 20) {
        out.push_str(" x:q='1' y:q='2'");
    }
    if depth == 0 && chance(rng, 40) {
        out.push_str(one(rng, &["/>", "/>", " />", "\n/>", "/ >"]));
        declared.truncate(mark);
        return;
    }
    out.push_str(one(rng, &[">", ">", ">", " >", "\n>"]));
    for _ in 0..rng.random_range(0..4) {
        match rng.random_range(0..100) {
            0..50 => out.push_str(one(rng, TEXT)),
            n if n < 50 + odd => out.push_str(one(rng, ODD_TEXT)),
            80..82 => out.push_str(&"long text ".repeat(rng.random_range(1..60))),
            _ if depth > 0 => element(rng, out, depth - 1, declared),
            _ => {}
        }
    }
    out.push_str("</");
    out.push_str(prefix);
    out.push_str(if chance(rng, odd / 5) { "b" } else { &name });
    out.push_str(one(rng, &[">", ">", ">", ">", " >", "\t\n>"]));
    declared.truncate(mark);
}

fn damage(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let end = (at + rng.random_range(1..12)).min(bytes.len());
    match rng.random_range(0..7) {
        0 => bytes[at] = rng.random(),
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copied = bytes[at..end].to_vec();
            let to = rng.random_range(0..bytes.len());
            bytes.splice(to..to, copied);
        }
        4 => bytes.swap(at, end - 1),
        _ => {
            let inserted = BYTES.choose(rng).copied().unwrap_or_default();
            bytes.splice(at..at, inserted.iter().copied());
        }
    }
}
