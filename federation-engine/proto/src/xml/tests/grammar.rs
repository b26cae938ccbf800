//! XML 1.0: tags, attributes, references, characters.

use super::*;

#[test]
fn xml_3_1_tags_that_are_well_formed_are_accepted() {
    for input in [
        "<a/>",
        "<a />",
        "<a></a>",
        "<a></a \n>",
        "<a\tb='1'\r\nc=\"2\"/>",
        "<a b = '1' c\n=\n'2'></a>",
        "<a b='>' c=\"'/>\" d='\"'/>",
        "<a b=''>]] ]> > text</a>",
        "<a><![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>",
        "<a.b-c_d1/>",
        "<_a/>",
        "<é·/>",
        "<a>\u{10FFFF}\u{FFFD}\u{E000}\u{7F}\u{85}</a>",
        "<a>&amp;&lt;&gt;&quot;&apos;&#9;&#10;&#13;&#32;&#x1F600;&#x00000041;&#00000065;</a>",
        "<a b='&#x9;&lt;'/>",
        "<a><b/><b><c/></b>\n</a>",
    ] {
        accepted(input);
    }
}

#[test]
fn xml_3_1_malformed_tags_are_refused() {
    for input in [
        "< a/>",
        "<a/ >",
        "<a//>",
        "<a/b>",
        "<a=''/>",
        "<a 'x'/>",
        "<a b='1'/c='2'>",
        "<>",
        "</ a>",
    ] {
        let seen = content(input);
        assert!(
            matches!(seen.as_slice(), [Seen::Error(XmlError::NotWellFormed(_))]),
            "{input}: {seen:?}"
        );
    }
    refused("<a b='1'c='2'/>", Malformation::Tag);
    refused("<a/b/>", Malformation::Tag);
    refused("<a b/>", Malformation::Attribute);
    refused("<a b=1/>", Malformation::Attribute);
    refused("<a b='1' c/>", Malformation::Attribute);
    refused("<1a/>", Malformation::Name);
    refused("<-a/>", Malformation::Name);
    refused("<a 1b=''/>", Malformation::Name);
    refused("<·/>", Malformation::Name);
    refused("<a\u{D7}/>", Malformation::Name);
    refused("<a <b/>", Malformation::Name);
}

#[test]
fn xml_3_end_tags_match_their_start_tags() {
    refused("<a></b>", Malformation::EndTag);
    refused("<a></A>", Malformation::EndTag);
    refused("<a><b></a></b>", Malformation::EndTag);
    refused("</a>", Malformation::EndTag);
    refused("</stream>", Malformation::EndTag);
    refused("<a></stream:stream>", Malformation::EndTag);
    refused("<a></ a>", Malformation::EndTag);
    refused("<a></a b=''>", Malformation::EndTag);
    assert_eq!(
        content("<a/></a>"),
        [Seen::Element("<a/>".to_owned()), Seen::Error(Malformation::EndTag.into())]
    );
}

#[test]
fn xml_3_1_an_attribute_stands_once() {
    refused("<a from='1' from='1'/>", Malformation::DuplicateAttribute);
    refused("<a from='1' b='2' from=\"3\"/>", Malformation::DuplicateAttribute);
    let many = (0..40).fold(String::new(), |tag, n| tag + &format!(" a{n}=''"));
    accepted(&format!("<a{many}/>"));
    refused(format!("<a{many} a7=''/>"), Malformation::DuplicateAttribute);
}

#[test]
fn xml_3_1_attribute_values_have_no_less_than() {
    refused("<a b='<'/>", Malformation::LessThanInAttribute);
    refused("<a b=\"x<y/>\"/>", Malformation::LessThanInAttribute);
}

#[test]
fn xml_2_4_cdata_end_is_not_text() {
    refused("<a>]]></a>", Malformation::CdataEnd);
    refused("<a>x]]]></a>", Malformation::CdataEnd);
    accepted("<a b=']]>'/>");
}

#[test]
fn xml_4_1_references_are_complete_and_name_characters() {
    for input in [
        "<a>&</a>",
        "<a>&amp</a>",
        "<a>& amp;</a>",
        "<a>&;</a>",
        "<a>&#;</a>",
        "<a>&#x;</a>",
        "<a>&#xG;</a>",
        "<a>&#12a;</a>",
        "<a>&#X41;</a>",
        "<a b='&lt'/>",
        "<a>&#+65;</a>",
        "<a>&#000000065;</a>",
        "<a>&#x000000041;</a>",
        "<a>&#x0000000000041;</a>",
    ] {
        refused(input, Malformation::Reference);
    }
    for code in [
        "0",
        "8",
        "11",
        "31",
        "x0",
        "xB",
        "xD800",
        "xDFFF",
        "xFFFE",
        "xFFFF",
        "x110000",
        "99999999",
        "xFFFFFFFF",
    ] {
        refused(format!("<a>&#{code};</a>"), Malformation::Character);
        refused(format!("<a b='&#{code};'/>"), Malformation::Character);
    }
}

#[test]
fn xml_2_2_characters() {
    for c in ["\u{0}", "\u{1}", "\u{8}", "\u{B}", "\u{1F}", "\u{FFFE}", "\u{FFFF}"] {
        refused(format!("<a>{c}</a>"), Malformation::Character);
        refused(format!("<a b='{c}'/>"), Malformation::Character);
        refused(format!("<a><![CDATA[{c}]]></a>"), Malformation::Character);
    }
}

#[test]
fn text_between_first_level_elements_is_refused_at_its_first_byte() {
    refused("x", Malformation::StrayText);
    refused("<![CDATA[x]]>", Malformation::StrayText);
    refused("&#32;", Malformation::StrayText);
    assert_eq!(
        content("<a/> x"),
        [Seen::Element("<a/>".to_owned()), Seen::Error(Malformation::StrayText.into())]
    );
}

#[test]
fn xml_3_3_3_attribute_values_are_decoded_once_and_normalised() {
    let message = element("<message from='a&amp;amp;b' to=\"x\ty\r\nz\" id='&#10;&lt;&apos;'/>");
    assert_eq!(message.from().as_deref(), Some("a&amp;b"));
    assert_eq!(message.to().as_deref(), Some("x y z"));
    assert_eq!(message.id().as_deref(), Some("\n<'"));
    assert_eq!(message.type_(), None);
}
