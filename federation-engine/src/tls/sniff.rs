//! The first bytes on a new connection distinguish TLS from XML, on the STARTTLS port and the Direct TLS port alike,
//! because peers and DNS records confuse them.

use s2s_proto::proxy_header;

/// The protocol that the peer starts with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FirstByte {
    /// A TLS record of type handshake (RFC 8446 §5.1): Direct TLS (XEP-0368).
    Tls,
    /// `<`, or whitespace before it: an XML stream, to be upgraded by STARTTLS.
    Xml,
    /// A header of the PROXY protocol, which only a trusted proxy may send. Close at once.
    ProxyHeader,
    /// Neither: `SSLv2`, HTTP, SSH, a port scanner. Close at once.
    Other,
}

/// Bytes to look at: enough to recognise a header of the PROXY protocol that arrives in one segment.
pub const LOOK_BYTES: usize = 12;

/// Classifies a connection by its first bytes, of which there is at least one.
pub fn classify(bytes: &[u8]) -> FirstByte {
    match bytes {
        _ if proxy_header::begins(bytes) => FirstByte::ProxyHeader,
        [0x16, ..] => FirstByte::Tls,
        // 0xEF begins the UTF-8 byte order mark; the XML layer decides about it.
        [b'<' | b' ' | b'\t' | b'\r' | b'\n' | 0xEF, ..] => FirstByte::Xml,
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
            (b"PROXY TCP4 ", FirstByte::ProxyHeader),
            (b"\r\n\r\n\0\r\nQUIT\n", FirstByte::ProxyHeader),
            (b"\r\n\r\n<?xml", FirstByte::Xml),
            (b"PROXY", FirstByte::Other),
        ] {
            assert_eq!(classify(text), expected, "{text:?}");
        }
    }
}
