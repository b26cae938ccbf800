//! The header of the PROXY protocol, versions 1 and 2: with it, a TCP proxy passes on the address of its client
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>; sections below are of that text).
//!
//! The decoder takes what has arrived so far, and allocates nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Maximum bytes of a header of version 1, with its end of line (§2.1).
pub const MAX_V1_BYTES: usize = 107;
/// Maximum bytes of addresses and TLVs in a header of version 2. The format allows 64 KiB; proxies send a few hundred
/// bytes.
pub const MAX_V2_PAYLOAD_BYTES: usize = 4_096;
/// Bytes of a header of version 2 before its addresses.
const V2_FIXED_BYTES: usize = 16;
/// Maximum bytes of any header.
pub const MAX_BYTES: usize = V2_FIXED_BYTES + MAX_V2_PAYLOAD_BYTES;

/// A header of version 2 without addresses. A proxy sends it on connections of its own (§2.2).
pub const LOCAL: [u8; V2_FIXED_BYTES] = *b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

const V1_BEGIN: &[u8] = b"PROXY ";
const V2_BEGIN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The content of a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// The proxy relays a TCP connection from this address.
    Relayed(SocketAddr),
    /// The proxy states no internet address: it checks our health (`LOCAL`), or does not know its client (`UNKNOWN`,
    /// `UNSPEC`, a Unix socket). The addresses of the connection itself apply.
    Local,
}

/// Why a connection has no usable header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// The first bytes belong to another protocol.
    #[error("it does not begin with a header")]
    Missing,
    /// The header exceeds [`MAX_V1_BYTES`] or [`MAX_V2_PAYLOAD_BYTES`].
    #[error("its header is too long")]
    TooLong,
    /// The line of version 1 has another form.
    #[error("the line of its header is malformed")]
    Line,
    /// Another version or command than version 2 defines.
    #[error("its header has an unknown version or command")]
    Command,
    /// Another address family or transport protocol than version 2 defines for a stream.
    #[error("its header has an unknown address family, or a protocol other than TCP")]
    Family,
    /// The header of version 2 is shorter than its addresses.
    #[error("its header is shorter than its addresses")]
    Addresses,
    /// The connection ended inside of the header.
    #[error("it ended before its header was complete")]
    Incomplete,
}

/// Whether these are the first bytes of a header. No XMPP stream and no TLS record begins with them.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(V1_BEGIN) || bytes.starts_with(V2_BEGIN)
}

/// Decodes the header at the start of a connection, of which these bytes have arrived. Returns it with its length, or
/// `None` while it is incomplete.
///
/// # Errors
/// When no further byte could complete a header, or the header is too long.
pub fn decode(arrived: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    if arrived.starts_with(V1_BEGIN) {
        decode_v1(arrived)
    } else if let Some(rest) = arrived.strip_prefix(V2_BEGIN) {
        decode_v2(rest)
    } else if V1_BEGIN.starts_with(arrived) || V2_BEGIN.starts_with(arrived) {
        Ok(None)
    } else {
        Err(HeaderError::Missing)
    }
}

/// §2.1.
fn decode_v1(arrived: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let window = arrived.get(..MAX_V1_BYTES).unwrap_or(arrived);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        let full = window.len() == MAX_V1_BYTES;
        return if full { Err(HeaderError::TooLong) } else { Ok(None) };
    };
    let line = window.get(V1_BEGIN.len()..end).and_then(|line| std::str::from_utf8(line).ok());
    let header = line.and_then(addresses_of_line).ok_or(HeaderError::Line)?;
    Ok(Some((header, end.saturating_add(2))))
}

fn addresses_of_line(line: &str) -> Option<Header> {
    let mut words = line.split(' ');
    let source = match words.next()? {
        // "The receiver must ignore anything presented before the CRLF."
        "UNKNOWN" => return Some(Header::Local),
        "TCP4" => source_of_words::<Ipv4Addr>(&mut words)?,
        "TCP6" => source_of_words::<Ipv6Addr>(&mut words)?,
        _ => return None,
    };
    words.next().is_none().then_some(Header::Relayed(source))
}

/// Source, destination, and their ports, in this order.
fn source_of_words<'a, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<SocketAddr> {
    let source: A = words.next()?.parse().ok()?;
    let _destination: A = words.next()?.parse().ok()?;
    let port = port_of_word(words.next()?)?;
    let _destination_port = port_of_word(words.next()?)?;
    Some(SocketAddr::new(source.into(), port))
}

fn port_of_word(word: &str) -> Option<u16> {
    // The type's own parser accepts a sign.
    if word.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

/// §2.2, behind the signature.
fn decode_v2(arrived: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let [command, family, high, low, rest @ ..] = arrived else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > MAX_V2_PAYLOAD_BYTES {
        return Err(HeaderError::TooLong);
    }
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Command),
    };
    // Addresses come first. TLVs follow them, and nothing here needs one.
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let header = match family {
        _ if is_local => Header::Local,
        // Unspecified, or a Unix socket.
        0x00 | 0x31 | 0x32 => Header::Local,
        0x11 => Header::Relayed(source_v4(payload).ok_or(HeaderError::Addresses)?),
        0x21 => Header::Relayed(source_v6(payload).ok_or(HeaderError::Addresses)?),
        _ => return Err(HeaderError::Family),
    };
    Ok(Some((header, length.saturating_add(V2_FIXED_BYTES))))
}

fn source_v4(payload: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = payload.split_first_chunk::<4>()?;
    let (_destination, rest) = rest.split_first_chunk::<4>()?;
    Some(SocketAddr::from((*source, source_port(rest)?)))
}

fn source_v6(payload: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = payload.split_first_chunk::<16>()?;
    let (_destination, rest) = rest.split_first_chunk::<16>()?;
    Some(SocketAddr::from((*source, source_port(rest)?)))
}

fn source_port(ports: &[u8]) -> Option<u16> {
    let (source, destination) = ports.split_first_chunk::<2>()?;
    destination.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*source))
}

#[cfg(test)]
mod tests;
