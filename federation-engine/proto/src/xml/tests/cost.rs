//! Work is linear in the bytes of the input, whatever the input is: steps are counted, not seconds.

use super::*;
use crate::xml::steps;

/// Maximum steps for each byte. The worst case is a name that is sorted among as many as a tag may have.
const STEPS_PER_BYTE: u64 = 24;

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
