//! Writing values into XML.

use bytes::BytesMut;

/// Appends `text` so that it stands literally in an attribute value of either quote style, or in character data.
/// Tab, line feed and carriage return become references, because a reader would turn the bare ones into spaces.
pub fn escape_into(out: &mut BytesMut, text: &str) {
    for byte in text.bytes() {
        let replacement: &[u8] = match byte {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            b'\'' => b"&apos;",
            b'\t' => b"&#9;",
            b'\n' => b"&#10;",
            b'\r' => b"&#13;",
            other => {
                out.extend_from_slice(&[other]);
                continue;
            }
        };
        out.extend_from_slice(replacement);
    }
}

/// Appends ` name='value'`.
pub fn attribute_into(out: &mut BytesMut, name: &str, value: &str) {
    out.extend_from_slice(b" ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape_into(out, value);
    out.extend_from_slice(b"'");
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
        let value = "a&b<c>d\"e'f\tg\nh\ri\u{e9}";
        let mut out = BytesMut::new();
        attribute_into(&mut out, "v", value);
        let document = format!("<x{}/>", std::str::from_utf8(&out).unwrap());
        let node = super::super::Node::read(&document, None).unwrap();
        assert_eq!(node.attribute("v"), Some(value));
    }

    #[test]
    fn text_of_others_is_cut_and_loses_what_xml_cannot_carry() {
        assert_eq!(printable("a\u{0}b\u{1F}c", 100), "a\u{FFFD}b\u{FFFD}c");
        assert_eq!(printable("ééé", 5), "éé");
    }
}
