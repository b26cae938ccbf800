//! Work is linear in the bytes of the input, whatever the input is: steps are counted, not seconds.

use super::*;
use crate::xml::{Progress, steps};

/// Maximum steps for each byte. The worst case is a name that is sorted among as many as a tag may have.
const STEPS_PER_BYTE: u64 = 24;

/// Maximum steps of one call: of a portion, and of a start tag with as many and as long names as a tag may have, which
/// are compared at its end.
const STEPS_PER_CALL: u64 = 500_000;

/// Bytes of each input; no result may depend on it.
const SIZES: [usize; 2] = [32 * 1024, 256 * 1024];

/// Fills an element with as many copies of `child` as `size` holds.
fn filled(start: &str, child: &str, size: usize) -> String {
    let room = size.saturating_sub(start.len() + "</a>".len());
    format!("{start}{}</a>", child.repeat(room / child.len()))
}

fn declared(prefixes: usize, name: impl Fn(usize) -> String) -> String {
    (0..prefixes).fold(String::new(), |all, n| all + &format!(" xmlns:p{n:02}='{}'", name(n)))
}

fn used(prefixes: usize) -> String {
    (0..prefixes).fold(String::new(), |all, n| all + &format!(" p{n:02}:a=''"))
}

/// The most expensive inputs, by their defect.
fn corpus(size: usize) -> Vec<(&'static str, String)> {
    let long = |n: usize| format!("urn:{}{n:02}", "x".repeat(1_000));
    let references = |n: usize| format!("urn:{}{n:02}", "&#x78;".repeat(200));
    let many = declared(62, |n| format!("urn:{n}"));
    let same_length = (0..62)
        .fold(String::new(), |all, n| all + &format!(" xmlns:{}{n:02}='u{n}'", "p".repeat(1_000)));
    let deep = |depth: usize, tag: &str| {
        let end = tag.split(' ').next().unwrap_or_default();
        format!("{}{}", format!("<{tag}>").repeat(depth), format!("</{end}>").repeat(depth))
    };
    let siblings = format!("<b{}{}/>", declared(31, long), used(31));
    let header_prefixes = "<b db:a='' stream:a='' xml:a=''/>";
    vec![
        (
            "many prefixed attributes",
            filled(&format!("<a{many}>"), &format!("<b{}/>", used(62)), size),
        ),
        (
            "long namespace names that are used often",
            filled(&format!("<a{}>", declared(20, long)), &format!("<b{}/>", used(20)), size),
        ),
        (
            "namespace names of references that are used often",
            filled(&format!("<a{}>", declared(20, references)), &format!("<b{}/>", used(20)), size),
        ),
        ("declarations that are repeated", filled("<a>", &siblings, size)),
        ("short names among many prefixes", filled(&format!("<a{many}>"), "<p00:b/>", size)),
        (
            "long prefixes of one length",
            filled(&format!("<a{same_length}>"), &format!("<{}33:b/>", "p".repeat(1_000)), size),
        ),
        ("deep nesting", filled(&format!("<a{many}>"), &deep(60, "p33:b p00:a='' p61:a=''"), size)),
        (
            "a prefix that is declared at every level",
            filled("<a>", &deep(60, &format!("x:b xmlns:x='{}' x:a=''", long(0))), size),
        ),
        (
            "references in attributes",
            filled("<a>", &format!("<b c='{}'/>", "&#65;".repeat(500)), size),
        ),
        ("references in text", filled("<a>", "&amp;", size)),
        ("prefixes of the header", filled("<a>", header_prefixes, size)),
        (
            "long attribute names",
            filled(
                "<a>",
                &format!(
                    "<b{}/>",
                    (0..60).fold(String::new(), |all, n| {
                        all + &format!(" {}{n:02}=''", "n".repeat(1_000))
                    })
                ),
                size,
            ),
        ),
        (
            "many attributes",
            filled(
                "<a>",
                &format!(
                    "<b{}/>",
                    (10..70).fold(String::new(), |all, n| all + &format!(" a{n}=''"))
                ),
                size,
            ),
        ),
        ("brackets", filled("<a>", "]]", size)),
        ("small elements", filled("<a>", "<b/>", size)),
        ("CDATA", filled("<a>", "<![CDATA[]]>", size)),
    ]
}

/// Steps for each byte of one element.
fn cost(input: &str, piece: usize) -> u64 {
    let bounds = Bounds::AUTHENTICATED.with_element_bytes(1 << 20);
    let mut scanner = Scanner::new(bounds);
    let mut buf = BytesMut::from(HEADER);
    assert!(matches!(scanner.next(&mut buf), Ok(Some(Item::Header(_)))));
    steps::take();
    let mut pieces = input.as_bytes().chunks(piece);
    let element = loop {
        match scanner.next(&mut buf).unwrap() {
            Some(Item::Element(element)) => break element,
            _ => buf.extend_from_slice(pieces.next().expect("the element ends with the input")),
        }
    };
    assert_eq!(element.bytes().len(), input.len());
    steps::take() / input.len() as u64
}

/// Tokens that arrive as a whole and fill an element.
fn large_tokens(size: usize) -> Vec<(&'static str, String)> {
    let text = |what: &str| what.repeat(size / what.len());
    let tag = |name: &str, value: &str| format!("<a {name}='{}'/>", text(value));
    vec![
        ("text", format!("<a>{}</a>", text("x"))),
        ("text of many bytes a character", format!("<a>{}</a>", text("\u{4e00}"))),
        ("text of references", format!("<a>{}</a>", text("&#65;"))),
        ("a CDATA section", format!("<a><![CDATA[{}]]></a>", text("]"))),
        ("an attribute", tag("b", "x")),
        ("an attribute of references", tag("b", "&#65;")),
        ("an address of references", tag("from", "&#65;")),
        ("a namespace name", tag("xmlns:b", "x")),
        ("a namespace name of references", tag("xmlns:b", "&#65;")),
        (
            "namespace names that are compared",
            format!(
                "<a xmlns:b='{0}' xmlns:c='{0}c' b:x='' c:x=''/>",
                "&#65;".repeat(size / 2 / "&#65;".len())
            ),
        ),
        ("space in a start tag", format!("<a{}/>", text(" "))),
        ("space in an end tag", format!("<a></a{}>", text(" "))),
        ("space between elements", format!("{}<a/>", text(" "))),
    ]
}

/// The greatest number of steps that one call costs.
fn greatest(input: &str, bounds: Bounds) -> u64 {
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
    let mut buf = BytesMut::from(HEADER);
    assert!(matches!(scanner.next(&mut buf), Ok(Some(Item::Header(_)))));
    scanner.set_bounds(bounds);
    buf.extend_from_slice(input.as_bytes());
    steps::take();
    let mut greatest = 0;
    loop {
        let progress = scanner.next_portion(&mut buf).unwrap();
        greatest = greatest.max(steps::take());
        match progress {
            Progress::Portion | Progress::Item(Item::Oversized(_)) => {}
            Progress::Item(_) => return greatest,
            Progress::Incomplete => panic!("the input is complete"),
        }
    }
}

#[test]
fn no_call_costs_more_steps_than_a_portion_of_the_input_allows() {
    for size in SIZES {
        for (what, input) in corpus(size).into_iter().chain(large_tokens(size)) {
            let steps = greatest(&input, Bounds::AUTHENTICATED.with_element_bytes(1 << 20));
            assert!(steps <= STEPS_PER_CALL, "{what}, {size} bytes: {steps} steps in one call");
        }
        let skipped = format!("<a>{}</a><b/>", "<c d='>'/>".repeat(size / 10));
        let bounds = Bounds { element_bytes: 10_000, ..Bounds::AUTHENTICATED };
        let steps = greatest(&skipped, bounds);
        assert!(steps <= STEPS_PER_CALL, "an element that is skipped: {steps} steps in one call");
    }
}

#[test]
fn no_input_costs_more_steps_than_its_bytes_allow() {
    for size in SIZES {
        for (what, input) in corpus(size) {
            for piece in [input.len(), 1_000] {
                let steps = cost(&input, piece);
                assert!(
                    steps <= STEPS_PER_BYTE,
                    "{what}, {size} bytes in pieces of {piece}: {steps} steps for each byte"
                );
            }
        }
    }
}

#[test]
fn expanded_names_are_distinguished_among_many() {
    let many = declared(60, |n| format!("urn:{n}"));
    accepted(&format!("<a{many}><b{}/></a>", used(60)));
    let (outer, inner) = (|n| format!("urn:{n}"), |n| format!("urn:{}", 29 - n));
    let nested = format!("<b{}{}/>", declared(30, inner), used(30));
    accepted(&format!("<a{}>{nested}</a>", declared(30, outer)));
    accepted("<a db:a='' stream:a='' xml:a='' a=''/>");
    let swapped = "<b xmlns:x='urn:y' xmlns:y='urn:x' x:a='' y:a=''/><c x:a=''/>";
    accepted(&format!("<a xmlns:x='urn:x'>{swapped}</a>"));
    for (declarations, attributes) in [
        (declared(31, |n| format!("urn:{}", n % 30)), used(31)),
        (" xmlns:x='jabber:server:dialback'".to_owned(), " x:a='' db:a=''".to_owned()),
        (" xmlns:x='jabber:&#115;erver:dialback'".to_owned(), " db:a='' x:a=''".to_owned()),
    ] {
        refused(format!("<a{declarations}{attributes}/>"), Malformation::DuplicateAttribute);
        let nested = format!("<a{declarations}><b/><c{attributes}/></a>");
        refused(nested, Malformation::DuplicateAttribute);
    }
}

#[test]
fn two_prefixes_of_the_header_can_have_one_name() {
    let header = HEADER.replace("to=", "xmlns:q='urn:q' xmlns:r='urn:&#113;' xmlns:s='urn:s' to=");
    let last = |input: &str| scan(format!("{header}{input}")).pop();
    let twice = Seen::Error(Malformation::DuplicateAttribute.into());
    assert_eq!(last("<a q:a='' r:a=''/>"), Some(twice.clone()));
    assert_eq!(last("<a xmlns:t='urn:q' r:a='' t:a=''/>"), Some(twice));
    assert!(matches!(last("<a q:a='' s:a='' r:b=''/>"), Some(Seen::Element(_))));
}
