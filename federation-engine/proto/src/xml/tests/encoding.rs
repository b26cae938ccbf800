//! RFC 6120 §11.6: UTF-8 and nothing else.

use super::*;

#[test]
fn rfc6120_11_6_another_encoding_is_unsupported() {
    let header: Vec<u16> = HEADER.encode_utf16().collect();
    let little: Vec<u8> = header.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = header.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let unsupported = [Seen::Error(XmlError::UnsupportedEncoding)];
    assert_eq!(scan(&little), unsupported);
    assert_eq!(scan(&big), unsupported);
    assert_eq!(scan([&[0xFF, 0xFE], little.as_slice()].concat()), unsupported);
    assert_eq!(scan([&[0xFE, 0xFF], big.as_slice()].concat()), unsupported);
    for name in ["UTF-16", "ISO-8859-1", "utf8", ""] {
        let declaration = format!("<?xml version='1.0' encoding='{name}'?>{HEADER}");
        assert_eq!(scan(declaration), unsupported, "{name}");
    }
}

#[test]
fn rfc6120_11_6_a_byte_order_mark_is_a_character_and_may_not_stand_first() {
    assert_eq!(scan(format!("\u{FEFF}{HEADER}")), [Seen::Error(Malformation::NotXml.into())]);
    accepted("<a>\u{FEFF}</a>");
}

#[test]
fn rfc3629_invalid_utf8_is_refused_in_names_values_and_text() {
    for bad in [
        &b"\xC0\xAF"[..], // overlong
        b"\xE0\x80\xAF",
        b"\xED\xA0\x80", // surrogate (CESU-8)
        b"\xF4\x90\x80\x80",
        b"\xF8\x88\x80\x80\x80",
        b"\x80",
        b"\xC3",
        b"\xFF",
    ] {
        for (before, after) in
            [("<a>", "</a>"), ("<a b='", "'/>"), ("<a><![CDATA[", "]]></a>"), ("<a", "/>")]
        {
            refused([before.as_bytes(), bad, after.as_bytes()].concat(), Malformation::Utf8);
        }
    }
}

#[test]
fn what_is_not_xml_is_refused_at_its_first_byte() {
    for input in ["GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\u{16}\u{3}\u{1}", "{}"] {
        assert_eq!(scan(input), [Seen::Error(Malformation::NotXml.into())], "{input:?}");
        assert_eq!(scan(&input[..1]), [Seen::Error(Malformation::NotXml.into())], "{input:?}");
    }
}
