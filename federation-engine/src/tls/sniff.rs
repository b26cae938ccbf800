//! The first byte on a new connection distinguishes TLS from XML, on the STARTTLS port and the Direct TLS port alike,
//! because peers and DNS records confuse them.

/// The protocol that the peer starts with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FirstByte {
    /// A TLS record of type handshake (RFC 8446 §5.1): Direct TLS (XEP-0368).
    Tls,
    /// `<`, or whitespace before it: an XML stream, to be upgraded by STARTTLS.
    Xml,
    /// Neither: `SSLv2`, HTTP, SSH, a port scanner. Close at once.
    Other,
}

/// Classifies the first byte.
pub fn classify(byte: u8) -> FirstByte {
    match byte {
        0x16 => FirstByte::Tls,
        // 0xEF begins the UTF-8 byte order mark; the XML layer decides about it.
        b'<' | b' ' | b'\t' | b'\r' | b'\n' | 0xEF => FirstByte::Xml,
        _ => FirstByte::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_tls_xml_and_strangers_apart() {
        for (text, expected) in [
            (&b"\x16\x03\x01"[..], FirstByte::Tls),
            (b"<?xml version='1.0'?>", FirstByte::Xml),
            (b"\n<stream:stream", FirstByte::Xml),
            (b"\xEF\xBB\xBF<", FirstByte::Xml),
            (b"GET / HTTP/1.1", FirstByte::Other),
            (b"SSH-2.0-", FirstByte::Other),
            (b"\x80\x2e\x01", FirstByte::Other),
            (b"\0", FirstByte::Other),
        ] {
            assert_eq!(classify(text[0]), expected, "{text:?}");
        }
    }
}
