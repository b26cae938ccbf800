//! Sizes and counts.

use super::*;
use crate::xml::Bound;

const SMALL: Bounds =
    Bounds { element_bytes: 200, skipped_bytes: 0, depth: 3, attributes: 5, name_bytes: 20 };

fn last(input: &str) -> Seen {
    scan_with(SMALL, format!("{HEADER}{input}").as_bytes()).0.pop().unwrap()
}

fn exceeded(bound: Bound) -> Seen {
    Seen::Error(bound.into())
}

#[test]
fn rfc6120_13_12_an_element_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let of = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    assert_eq!(last(&of(200)), Seen::Element(of(200)));
    let too_large = exceeded(Bound::ElementBytes { limit: 200 });
    assert_eq!(last(&of(201)), too_large);
    let attribute = |bytes: usize| format!("<a b='{}'/>", "x".repeat(bytes - 9));
    assert_eq!(last(&attribute(200)), Seen::Element(attribute(200)));
    assert_eq!(last(&attribute(201)), too_large);
    let cdata = |bytes: usize| format!("<a><![CDATA[{}]]></a>", "x".repeat(bytes - 19));
    assert_eq!(last(&cdata(200)), Seen::Element(cdata(200)));
    assert_eq!(last(&cdata(201)), too_large);
}

#[test]
fn what_cannot_end_within_the_limit_is_refused_without_waiting_for_its_end() {
    let too_large = exceeded(Bound::ElementBytes { limit: 200 });
    for start in ["<a>", "<a b='", "<a ", "<", "</", "<a><![CDATA["] {
        assert_eq!(last(&format!("{start}{}", "x".repeat(300))), too_large, "{start}");
    }
    assert_eq!(scan_with(SMALL, format!("<a b='{}", "x".repeat(300)).as_bytes()).0, [too_large]);
}

#[test]
fn depth_is_bounded_without_recursion() {
    assert_eq!(last("<a><b><c/></b></a>"), Seen::Element("<a><b><c/></b></a>".to_owned()));
    assert_eq!(last("<a><b><c><d/></c></b></a>"), exceeded(Bound::Depth { limit: 3 }));
    let bounds = Bounds { element_bytes: 1 << 20, depth: 200_000, ..SMALL };
    let deep = format!("{HEADER}{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let mut scanner = Scanner::new(bounds);
    let mut buf = BytesMut::from(deep.as_str());
    assert!(matches!(scanner.next(&mut buf), Ok(Some(Item::Header(_)))));
    let Ok(Some(Item::Element(element))) = scanner.next(&mut buf) else { panic!() };
    assert!(element.tree().is_err());
}

#[test]
fn attributes_names_and_declarations_are_bounded() {
    assert!(matches!(last("<a b='' c='' d='' e='' f=''/>"), Seen::Element(_)));
    let attributes = exceeded(Bound::Attributes { limit: 5 });
    assert_eq!(last("<a b='' c='' d='' e='' f='' g=''/>"), attributes);
    let name = exceeded(Bound::NameBytes { limit: 20 });
    assert!(matches!(last("<aaaaaaaaaaaaaaaaaaaa/>"), Seen::Element(_)));
    assert_eq!(last("<aaaaaaaaaaaaaaaaaaaaa/>"), name);
    assert_eq!(last("<a aaaaaaaaaaaaaaaaaaaaa=''/>"), name);
    let nested =
        "<a xmlns:a='u' xmlns:b='u' xmlns:c='u'><b xmlns:d='u' xmlns:e='u' xmlns:f='u'/></a>";
    assert_eq!(last(nested), exceeded(Bound::Declarations { limit: 5 }));
    // Those of a finished sibling are out of scope.
    let siblings = "<a xmlns:a='u'><b xmlns:d='u' xmlns:e='u'/><b xmlns:d='u' xmlns:e='u'/></a>";
    assert!(matches!(last(siblings), Seen::Element(_)));
}

#[test]
fn many_attributes_and_references_cost_linear_time() {
    let bounds = Bounds { element_bytes: 16 << 20, attributes: 512, ..Bounds::AUTHENTICATED };
    let tag = (0..510).fold(String::new(), |tag, n| tag + &format!(" a{n}='&#x41;'"));
    let element = format!("<x>{}</x>", format!("<y{tag}/>").repeat(200));
    let mut scanner = Scanner::new(bounds);
    let mut buf = BytesMut::from(format!("{HEADER}{element}").as_str());
    assert!(matches!(scanner.next(&mut buf), Ok(Some(Item::Header(_)))));
    let Ok(Some(Item::Element(found))) = scanner.next(&mut buf) else { panic!() };
    assert_eq!(found.bytes().len(), element.len());
}

#[test]
fn an_element_above_the_limit_costs_itself_and_not_its_neighbours() {
    let bounds = Bounds { skipped_bytes: 3_200, depth: 64, ..SMALL };
    let start = "<m from='a' to='b' id='1'>";
    for content in [
        "x".repeat(300),
        "<b>x</b>".repeat(100),
        "<b c='>' d=\"'/>\" />".repeat(100),
        "<![CDATA[</m>]]]>".repeat(100),
        "<![CDATA[".to_owned() + &"x]]".repeat(100) + "]]>",
        format!("<b c='{}'/>", "/m>".repeat(100)),
        format!("<b c=\"{}\">", "'/m>".repeat(100)) + "</b >",
        "]]".repeat(100) + &"<b/>".repeat(50),
        "<b>".repeat(200) + &"</b>".repeat(200),
        "&amp;".repeat(100),
    ] {
        let input = format!("{HEADER}<a/>{start}{content}</m ><c/>");
        let (seen, _) = scan_with(bounds, input.as_bytes());
        let expected = [
            Seen::Header,
            Seen::Element("<a/>".to_owned()),
            Seen::Oversized("<m from='a' to='b' id='1'/>".to_owned()),
            Seen::Element("<c/>".to_owned()),
        ];
        assert_eq!(seen, expected, "{content}");
    }
}

#[test]
fn the_end_of_an_element_above_the_limit_is_awaited_up_to_a_bound() {
    let bounds = Bounds { skipped_bytes: 3_200, ..SMALL };
    let too_large = exceeded(Bound::ElementBytes { limit: 200 });
    let last =
        |input: &str| scan_with(bounds, format!("{HEADER}{input}").as_bytes()).0.pop().unwrap();
    let of = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    assert_eq!(last(&(of(3_200) + "<b/>")), Seen::Element("<b/>".to_owned()));
    assert_eq!(last(&(of(3_300) + "<b/>")), too_large);
    // Without an end, and without a start tag that is complete.
    assert_eq!(last(&format!("<a>{}", "x".repeat(10_000))), too_large);
    assert_eq!(last(&format!("<a b='{}'>", "x".repeat(300))), too_large);
    // XML features that XMPP forbids are forbidden there as well (RFC 6120 §11.1).
    for (forbidden, what) in [
        ("<!-- -->", "comments"),
        ("<!DOCTYPE a>", "document type declarations"),
        ("<?x ?>", "processing instructions"),
    ] {
        let input = format!("<a>{}{forbidden}</a>", "<b/>".repeat(100));
        assert_eq!(last(&input), Seen::Error(XmlError::Restricted(what)));
    }
}

#[test]
fn bounds_can_change_between_elements() {
    let mut scanner = Scanner::new(Bounds { element_bytes: 1000, ..SMALL });
    let mut buf = BytesMut::from(format!("{HEADER}<a>{}</a>", "x".repeat(300)).as_str());
    assert!(matches!(scanner.next(&mut buf), Ok(Some(Item::Header(_)))));
    scanner.set_bounds(SMALL);
    assert_eq!(scanner.next(&mut buf).unwrap_err(), Bound::ElementBytes { limit: 200 }.into());
}
