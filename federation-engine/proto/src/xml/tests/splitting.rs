//! However the input is split, the items are the same; and another parser sees the same boundaries.

use proptest::prelude::*;
use quick_xml::NsReader;
use quick_xml::events::Event;

use super::*;

/// Fragments that reach every decision of the scanner when they are combined.
fn fragment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "<a>",
        "</a>",
        "<b/>",
        "<a b='c'>",
        "<db:r from='x' to=\"y\"/>",
        "<x:y xmlns:x='u'>",
        "</x:y>",
        "text",
        "&amp;",
        "&#65;",
        "]]>",
        "]]",
        ">",
        "<![CDATA[x]]>",
        "<![CDATA[",
        " ",
        "\n",
        "é",
        "'",
        "\"",
        "<",
        "/>",
        "</stream:stream>",
        "<!--",
        "<?x?>",
        "&x;",
        "\u{0}",
        "b='c'",
        "xmlns='jabber:client'",
    ])
}

/// Found by fuzzing: whether the limit of an element or the wrong byte of its markup was found first depended on where the
/// input was split.
#[test]
fn the_limit_counts_before_a_wrong_byte_wherever_the_input_is_split() {
    const LIMIT: usize = 300;
    let bounds = Bounds::AUTHENTICATED.with_element_bytes(LIMIT);
    for markup in
        ["<!-- x -->", "<!DOCTYPE x>", "<![CDATult>", "<![CDATA[x]]>", "<?x?>", "</b>", "<b\0>"]
    {
        for length in LIMIT - 30..LIMIT {
            let text = "x".repeat(length);
            let input = format!("{HEADER}<message>{text}{markup}</message><a/>");
            // Compares the whole with the bytewise scan.
            scan_with(bounds, input.as_bytes());
        }
    }
}

/// Tokens longer than a portion, with something at its border that must not be divided.
#[test]
fn what_lies_across_the_border_of_portions_is_not_divided() {
    use crate::xml::run::PORTION;
    for (what, good) in [
        ("&amp;", true),
        ("&#x41;", true),
        ("&#0;", false),
        ("&other;", false),
        ("]]", true),
        ("\u{e9}", true),
        ("\u{4e00}", true),
        ("\u{1f600}", true),
        ("\u{fffe}", false),
        ("\u{1}", false),
    ] {
        for before in PORTION - 20..PORTION + 4 {
            let run = format!("{}{what}{}", "x".repeat(before), "y".repeat(PORTION));
            for input in [
                format!("<a>{run}</a>"),
                format!("<a b='{run}'/>"),
                format!("<a xmlns:b='{run}' xmlns:c='{run}c' b:d='' c:d=''/>"),
            ] {
                // Compares the whole with the bytewise scan.
                let seen = content(&input);
                let expected = good.then(|| vec![Seen::Element(input.clone())]);
                assert_eq!(
                    expected.is_some_and(|expected| expected == seen),
                    good,
                    "{what} after {before}"
                );
            }
        }
    }
    let name = "x".repeat(PORTION);
    refused(
        format!("<a xmlns:b='{name}&#x79;' xmlns:c='{name}y' b:d='' c:d=''/>"),
        Malformation::DuplicateAttribute,
    );
    refused(format!("<a xmlns:b='{name}&#x20;{name}'/>"), Malformation::NamespaceDeclaration);
}

proptest! {
    #[test]
    fn items_do_not_depend_on_where_the_input_is_split(
        parts in prop::collection::vec(fragment(), 0..24),
    ) {
        // `content` compares the whole with the bytewise scan.
        content(parts.concat());
    }

    #[test]
    fn arbitrary_bytes_never_make_a_difference_by_their_splitting(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        content(&bytes);
        scan(&bytes);
    }

    #[test]
    fn what_is_accepted_has_the_same_extent_for_another_parser(
        parts in prop::collection::vec(fragment(), 0..24),
    ) {
        for seen in content(parts.concat()) {
            if let Seen::Element(text) = seen {
                prop_assert_eq!(extent(&text), text.len(), "{}", text);
            }
        }
    }
}

/// Bytes of the first element as quick-xml parses it, with all of its own checks.
fn extent(text: &str) -> usize {
    let document = format!("{HEADER}{text}");
    let mut reader = NsReader::from_str(&document);
    reader.config_mut().check_end_names = true;
    reader.config_mut().allow_dangling_amp = false;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                for attribute in tag.attributes() {
                    attribute.unwrap();
                }
                depth += 1;
            }
            Event::Empty(tag) => {
                for attribute in tag.attributes() {
                    attribute.unwrap();
                }
                if depth == 1 {
                    break;
                }
            }
            Event::End(_) => {
                depth -= 1;
                if depth == 1 {
                    break;
                }
            }
            Event::Eof => panic!("the other parser finds no end: {text}"),
            _ => {}
        }
    }
    usize::try_from(reader.buffer_position()).unwrap() - HEADER.len()
}
