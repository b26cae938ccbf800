//! The source of a connection, as it is counted.

use std::net::IpAddr;

/// A source: /24 for IPv4, /56 for IPv6 (what one customer usually gets).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Prefix([u8; 7]);

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self([0xff, 0, 0, 0, a, b, c])
            }
            IpAddr::V6(v6) => {
                let mut prefix = [0; 7];
                prefix.iter_mut().zip(v6.octets()).for_each(|(to, from)| *to = from);
                Self(prefix)
            }
        }
    }
}
