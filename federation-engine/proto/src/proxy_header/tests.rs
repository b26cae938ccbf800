use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

const ROMEO: &str = "198.51.100.7:40000";
const JULIET: &str = "[2001:db8::7]:40000";

fn relayed(address: &str) -> Header {
    Header::Relayed(address.parse().unwrap())
}

/// A header of version 2 with that command and family.
fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [V2_BEGIN, &[command, family], &length, payload].concat()
}

/// The address block of a header of version 2.
fn block(source: &str, destination: &str) -> Vec<u8> {
    let ends = [source, destination].map(|end| end.parse::<SocketAddr>().unwrap());
    let octets = |end: &SocketAddr| match end.ip() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let ports = ends.iter().flat_map(|end| end.port().to_be_bytes()).collect();
    [octets(&ends[0]), octets(&ends[1]), ports].concat()
}

/// TLVs as a network load balancer sends them: an endpoint (0xEA) and padding (0x04).
fn tlvs(padding: usize) -> Vec<u8> {
    let length = u16::try_from(padding).unwrap().to_be_bytes();
    [&b"\xEA\x00\x05\x01vpce\x04"[..], &length, &vec![0; padding]].concat()
}

fn complete_headers() -> Vec<(Vec<u8>, Header)> {
    let v4 = block(ROMEO, "192.0.2.1:5269");
    let v6 = block(JULIET, "[2001:db8::1]:5269");
    let unix = vec![b'x'; 216];
    vec![
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 5269\r\n".to_vec(), relayed(ROMEO)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 5269\r\n".to_vec(), relayed(JULIET)),
        (b"PROXY UNKNOWN\r\n".to_vec(), Header::Local),
        (
            format!("PROXY UNKNOWN {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":")).into_bytes(),
            Header::Local,
        ),
        (v2(0x21, 0x11, &v4), relayed(ROMEO)),
        (v2(0x21, 0x21, &v6), relayed(JULIET)),
        (v2(0x21, 0x11, &[v4.clone(), tlvs(300)].concat()), relayed(ROMEO)),
        (v2(0x21, 0x21, &[v6, tlvs(MAX_V2_PAYLOAD_BYTES - 47)].concat()), relayed(JULIET)),
        (LOCAL.to_vec(), Header::Local),
        (v2(0x20, 0x11, &v4), Header::Local),
        (v2(0x20, 0xff, &tlvs(3)), Header::Local),
        (v2(0x21, 0x00, &[]), Header::Local),
        (v2(0x21, 0x00, &tlvs(9)), Header::Local),
        (v2(0x21, 0x31, &unix), Header::Local),
    ]
}

#[test]
fn a_header_is_decoded_when_its_last_byte_has_arrived() {
    for (bytes, expected) in complete_headers() {
        assert!(bytes.len() <= MAX_BYTES);
        let with_stream = [&bytes[..], b"<?xml version='1.0'?>"].concat();
        assert_eq!(decode(&with_stream), Ok(Some((expected, bytes.len()))), "{bytes:?}");
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Ok(None), "{:?}", &bytes[..end]);
        }
    }
}

#[test]
fn what_is_no_header_is_refused_by_its_fault() {
    let v4 = block(ROMEO, "192.0.2.1:5269");
    let with_length = |length: u16| [V2_BEGIN, &[0x21, 0x11], &length.to_be_bytes()].concat();
    let line = |line: &str| format!("PROXY {line}\r\n").into_bytes();
    for (bytes, expected) in [
        (b"<?xml version='1.0'?>".to_vec(), HeaderError::Missing),
        (b"\x16\x03\x01".to_vec(), HeaderError::Missing),
        (b"\r\n<stream:stream".to_vec(), HeaderError::Missing),
        (b"PROXY\r\n".to_vec(), HeaderError::Missing),
        (line(""), HeaderError::Line),
        (line("UDP4 198.51.100.7 192.0.2.1 40000 5269"), HeaderError::Line),
        (line("TCP4"), HeaderError::Line),
        (line("TCP4 198.51.100.7 192.0.2.1 40000"), HeaderError::Line),
        (line("TCP4 198.51.100.7 192.0.2.1 40000 5269 1"), HeaderError::Line),
        (line("TCP4 198.51.100.7  192.0.2.1 40000 5269"), HeaderError::Line),
        (line("TCP4 2001:db8::7 2001:db8::1 40000 5269"), HeaderError::Line),
        (line("TCP6 198.51.100.7 192.0.2.1 40000 5269"), HeaderError::Line),
        (line("TCP4 198.51.100.7 192.0.2.1 +40000 5269"), HeaderError::Line),
        (line("TCP4 198.51.100.7 192.0.2.1 65536 5269"), HeaderError::Line),
        (line("TCP4 198.51.100.007 192.0.2.1 40000 5269"), HeaderError::Line),
        (b"PROXY \xff\r\n".to_vec(), HeaderError::Line),
        ([&b"PROXY UNKNOWN "[..], &[b'x'; 92], b"\r"].concat(), HeaderError::TooLong),
        (v2(0x11, 0x11, &v4), HeaderError::Command),
        (v2(0x22, 0x11, &v4), HeaderError::Command),
        (v2(0x21, 0x12, &v4), HeaderError::Family),
        (v2(0x21, 0x10, &v4), HeaderError::Family),
        (v2(0x21, 0x41, &v4), HeaderError::Family),
        (v2(0x21, 0x11, &v4[..11]), HeaderError::Addresses),
        (v2(0x21, 0x21, &v4), HeaderError::Addresses),
        (with_length(4_097), HeaderError::TooLong),
        (with_length(u16::MAX), HeaderError::TooLong),
    ] {
        assert_eq!(decode(&bytes), Err(expected), "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn only_a_header_begins_like_one() {
    for (bytes, expected) in [
        (&b"PROXY TCP4"[..], true),
        (&LOCAL[..], true),
        (b"PROXY", false),
        (b"PROXYING", false),
        (b"\r\n\r\n<stream", false),
        (b"", false),
    ] {
        assert_eq!(begins(bytes), expected, "{bytes:?}");
    }
}

proptest! {
    /// More bytes change no result, and a decoder that is called again for each byte keeps its bounds.
    #[test]
    fn the_result_does_not_depend_on_how_the_bytes_arrive(
        begin in prop::sample::select(vec![&b""[..], V1_BEGIN, b"PROXY TCP4 ", V2_BEGIN, &LOCAL[..14]]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let all = [begin, &bytes].concat();
        let whole = decode(&all);
        for end in 0..all.len() {
            match decode(&all[..end]) {
                Ok(None) => {}
                decided => prop_assert_eq!(decided, whole),
            }
        }
        if let Ok(Some((_, length))) = whole {
            prop_assert!(length <= all.len() && length <= MAX_BYTES);
        }
    }

    /// Whatever address a proxy states in the format of its version, the decoder returns it.
    #[test]
    fn an_address_is_the_one_that_was_written(octets in any::<[u8; 16]>(), ports in any::<[u16; 2]>()) {
        let v6 = Ipv6Addr::from(octets);
        let v4 = Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]);
        for source in [IpAddr::V4(v4), IpAddr::V6(v6)] {
            let (family, byte) = if source.is_ipv4() { ("TCP4", 0x11) } else { ("TCP6", 0x21) };
            let source = SocketAddr::new(source, ports[0]);
            let destination = SocketAddr::new(source.ip(), ports[1]);
            let line = format!("PROXY {family} {} {} {} {}\r\n", source.ip(), source.ip(), ports[0], ports[1]);
            let block = block(&source.to_string(), &destination.to_string());
            for bytes in [line.into_bytes(), v2(0x21, byte, &block)] {
                prop_assert_eq!(decode(&bytes), Ok(Some((Header::Relayed(source), bytes.len()))));
            }
        }
    }
}
