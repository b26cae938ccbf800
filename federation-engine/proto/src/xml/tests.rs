//! The scanner, rule by rule. Every input is scanned whole and split at every byte; both must agree.

mod bounds;
mod cost;
mod encoding;
mod grammar;
mod namespaces;
mod restricted;
mod splitting;

use bytes::BytesMut;

use super::{Bounds, Element, Item, Malformation, Scanner, XmlError};

const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                      xmlns:db='jabber:server:dialback' to='a.example' version='1.0'>";

/// The output, comparable.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Seen {
    Header,
    Element(String),
    Oversized(String),
    Close,
    Error(XmlError),
}

fn feed(
    scanner: &mut Scanner,
    buf: &mut BytesMut,
    seen: &mut Vec<Seen>,
    elements: &mut Vec<Element>,
) {
    loop {
        match scanner.next(buf) {
            Ok(None) => return,
            Ok(Some(Item::Header(_))) => seen.push(Seen::Header),
            Ok(Some(Item::Close)) => seen.push(Seen::Close),
            Ok(Some(Item::Oversized(element))) => {
                seen.push(Seen::Oversized(String::from_utf8(element.bytes().to_vec()).unwrap()));
            }
            Ok(Some(Item::Element(element))) => {
                seen.push(Seen::Element(String::from_utf8(element.bytes().to_vec()).unwrap()));
                elements.push(element);
            }
            Err(error) => {
                if seen.last() != Some(&Seen::Error(error)) {
                    seen.push(Seen::Error(error));
                }
                return;
            }
        }
    }
}

fn scan_with(bounds: Bounds, input: &[u8]) -> (Vec<Seen>, Vec<Element>) {
    let (mut seen, mut elements) = (Vec::new(), Vec::new());
    let mut scanner = Scanner::new(bounds);
    feed(&mut scanner, &mut BytesMut::from(input), &mut seen, &mut elements);
    let (mut bytewise, mut scanner, mut buf) = (Vec::new(), Scanner::new(bounds), BytesMut::new());
    for byte in input {
        buf.extend_from_slice(&[*byte]);
        feed(&mut scanner, &mut buf, &mut bytewise, &mut Vec::new());
    }
    assert_eq!(seen, bytewise, "split at every byte: {}", String::from_utf8_lossy(input));
    (seen, elements)
}

/// Scans a whole stream.
fn scan(input: impl AsRef<[u8]>) -> Vec<Seen> {
    scan_with(Bounds::AUTHENTICATED, input.as_ref()).0
}

/// Scans first-level content after a usual header.
fn content(input: impl AsRef<[u8]>) -> Vec<Seen> {
    let mut seen = scan([HEADER.as_bytes(), input.as_ref()].concat());
    assert_eq!(seen.remove(0), Seen::Header);
    seen
}

/// The only element of the content.
fn element(input: &str) -> Element {
    let (seen, mut elements) =
        scan_with(Bounds::AUTHENTICATED, format!("{HEADER}{input}").as_bytes());
    assert_eq!(seen, [Seen::Header, Seen::Element(input.trim().to_owned())]);
    elements.remove(0)
}

fn accepted(input: &str) {
    assert_eq!(content(input), [Seen::Element(input.to_owned())]);
}

fn refused(input: impl AsRef<[u8]>, why: impl Into<XmlError>) {
    let input = input.as_ref();
    let seen = content(input);
    assert_eq!(seen, [Seen::Error(why.into())], "{}", String::from_utf8_lossy(input));
}

#[test]
fn an_error_is_final() {
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
    let mut buf = BytesMut::from("x");
    let error = XmlError::from(Malformation::NotXml);
    assert_eq!(scanner.next(&mut buf).unwrap_err(), error);
    let mut good = BytesMut::from(HEADER);
    assert_eq!(scanner.next(&mut good).unwrap_err(), error);
    scanner.restart();
    assert!(matches!(scanner.next(&mut good), Ok(Some(Item::Header(_)))));
}

#[test]
fn rfc6120_4_6_1_white_space_between_elements_gives_no_item() {
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
    let mut buf = BytesMut::from(format!("{HEADER} \n\t<a/>\r\n").as_str());
    let (mut seen, mut elements) = (Vec::new(), Vec::new());
    feed(&mut scanner, &mut buf, &mut seen, &mut elements);
    assert_eq!(seen, [Seen::Header, Seen::Element("<a/>".to_owned())]);
    assert!(buf.is_empty());
}

#[test]
fn rfc6120_4_4_nothing_follows_the_end_of_the_stream() {
    let seen = content("<a/></stream:stream><b/>\u{0}<!DOCTYPE x>");
    assert_eq!(seen, [Seen::Element("<a/>".to_owned()), Seen::Close]);
    assert_eq!(content("</stream:stream  >"), [Seen::Close]);
    let header = HEADER.replace('>', "/>");
    assert_eq!(scan(header), [Seen::Header, Seen::Close]);
}

#[test]
fn rfc6120_4_3_3_after_a_restart_a_new_header_is_read() {
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
    let (mut seen, mut elements) = (Vec::new(), Vec::new());
    feed(&mut scanner, &mut BytesMut::from(HEADER), &mut seen, &mut elements);
    scanner.restart();
    let again = format!("<?xml version='1.0'?>{HEADER}<db:x/>");
    feed(&mut scanner, &mut BytesMut::from(again.as_str()), &mut seen, &mut elements);
    assert_eq!(seen, [Seen::Header, Seen::Header, Seen::Element("<db:x/>".to_owned())]);
}
