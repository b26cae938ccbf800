//! Writing values into XML.

use bytes::BytesMut;

/// Appends `text` as character data. Escapes only characters that end it (XML 1.0 §2.4), and the carriage return, which
/// a parser would convert to a line feed (§2.11).
pub fn escape_into(out: &mut BytesMut, text: &str) {
    let mut brackets = 0_u8;
    for byte in text.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' if brackets >= 2 => out.extend_from_slice(b"&gt;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            other => out.extend_from_slice(&[other]),
        }
        brackets = if byte == b']' { brackets.saturating_add(1) } else { 0 };
    }
}

/// Appends `text` as an attribute value within `quote`. Escapes only characters that end the value (XML 1.0 §2.3), and
/// white space that a parser would convert to spaces (§3.3.3).
pub(crate) fn quoted_into(out: &mut BytesMut, text: &str, quote: u8) {
    for byte in text.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'"' if quote == b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' if quote == b'\'' => out.extend_from_slice(b"&apos;"),
            b'\t' => out.extend_from_slice(b"&#9;"),
            b'\n' => out.extend_from_slice(b"&#10;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            other => out.extend_from_slice(&[other]),
        }
    }
}

/// Appends ` name='value'`, in the quotes that occur less often in the value: no value from XML becomes longer by more
/// than a fifth, whatever its content.
pub fn attribute_into(out: &mut BytesMut, name: &str, value: &str) {
    out.extend_from_slice(b" ");
    out.extend_from_slice(name.as_bytes());
    value_into(out, value);
}

/// Appends `='value'` as [`attribute_into`] does.
pub(crate) fn value_into(out: &mut BytesMut, value: &str) {
    let count = |quote| memchr::memchr_iter(quote, value.as_bytes()).count();
    let quote = if count(b'\'') > count(b'"') { b'"' } else { b'\'' };
    out.extend_from_slice(&[b'=', quote]);
    quoted_into(out, value, quote);
    out.extend_from_slice(&[quote]);
}

/// `text` without characters that XML cannot carry (XML 1.0 §2.2), cut to `limit` bytes at a character boundary.
pub fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        if out.len() + character.len_utf8() > limit {
            break;
        }
        out.push(if super::chars::is_xml_char(character) { character } else { '\u{FFFD}' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_attribute_value_is_read_back_unchanged() {
        for value in ["a&b<c>d\"e'f\tg\nh\ri\u{e9}", "''\"", "\"\"'", "'", "\""] {
            let mut out = BytesMut::new();
            attribute_into(&mut out, "v", value);
            let document = format!("<x{}/>", std::str::from_utf8(&out).unwrap());
            let node = super::super::Node::read(&document, None).unwrap();
            assert_eq!(node.attribute("v"), Some(value));
        }
    }

    #[test]
    fn written_text_is_read_back_unchanged() {
        for text in ["a&b<c>d\"e'f", "]]>", "]]]>x]>", "a\tb\nc\rd", "&amp;"] {
            let mut out = BytesMut::new();
            escape_into(&mut out, text);
            let document = format!("<x>{}</x>", std::str::from_utf8(&out).unwrap());
            assert_eq!(super::super::Node::read(&document, None).unwrap().text, text);
        }
    }

    #[test]
    fn a_value_that_was_read_becomes_longer_by_a_fifth_at_most() {
        for (as_read, as_written) in [
            ("'".repeat(600), "'".repeat(600)),
            ("\"".repeat(600), "\"".repeat(600)),
            ("'\"".repeat(300), "'&#34;".repeat(300)),
            ("&".repeat(600), "&amp;".repeat(600)),
            ("<".repeat(600), "&lt;".repeat(600)),
            (">".repeat(600), ">".repeat(600)),
            ("\t".repeat(600), "&#9;".repeat(600)),
            ("\r".repeat(600), "&#13;".repeat(600)),
        ] {
            let mut out = BytesMut::new();
            value_into(&mut out, &as_read);
            let bound = as_written.len() + as_written.len() / 5 + 3;
            assert!(out.len() <= bound, "{} bytes of {as_written:.9}", out.len());
        }
    }

    #[test]
    fn text_of_others_is_cut_and_loses_what_xml_cannot_carry() {
        assert_eq!(printable("a\u{0}b\u{1F}c", 100), "a\u{FFFD}b\u{FFFD}c");
        assert_eq!(printable("ééé", 5), "éé");
    }
}
