//! The target of a static route: a host and a port, both required.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::domain::Domain;

/// One target of a route: `host:port`, `IPv4:port` or `[IPv6]:port`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RouteTarget {
    /// Name to resolve, or an address.
    pub host: RouteHost,
    /// TCP port.
    pub port: NonZeroU16,
}

/// Host part of a [`RouteTarget`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum RouteHost {
    /// A name to resolve.
    Name(Domain),
    /// An address to connect to directly.
    Address(IpAddr),
}

/// Why a text is not a route target.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RouteTargetError {
    /// The port is missing, or is not a number from 1 to 65535.
    #[error("{}", Self::PORT)]
    Port,
    /// The part before the port is neither a host name nor an address.
    #[error(
        "the part before the port must be a host name, an IPv4 address, or an IPv6 address in brackets"
    )]
    Host,
}

impl RouteTargetError {
    /// Sentence of [`Self::Port`]; also the message of the resource's admission rule.
    pub const PORT: &str =
        "A route target needs a port from 1 to 65535: write host:port or [IPv6]:port";
}

impl FromStr for RouteTarget {
    type Err = RouteTargetError;

    fn from_str(text: &str) -> Result<Self, RouteTargetError> {
        let (host, port) = text.rsplit_once(':').ok_or(RouteTargetError::Port)?;
        let port = port.parse().map_err(|_| RouteTargetError::Port)?;
        let host = if let Some(inner) = host.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
            RouteHost::Address(IpAddr::V6(address.ok_or(RouteTargetError::Host)?))
        } else if let Ok(address) = host.parse() {
            RouteHost::Address(IpAddr::V4(address))
        } else if host.contains(':') {
            // An IPv6 address without brackets: its last group is not a port.
            return Err(RouteTargetError::Port);
        } else {
            RouteHost::Name(Domain::parse(host).map_err(|_| RouteTargetError::Host)?)
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            RouteHost::Name(name) => write!(f, "{name}:{}", self.port),
            RouteHost::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            RouteHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl FromStr for RouteHost {
    type Err = RouteTargetError;

    fn from_str(text: &str) -> Result<Self, RouteTargetError> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Domain::parse(text).map(Self::Name).map_err(|_| RouteTargetError::Host),
        }
    }
}

impl fmt::Display for RouteHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

crate::text::serde_as_text!(RouteTarget, "RouteTarget", min = 1, max = 300);
crate::text::serde_as_text!(RouteHost, "RouteHost", min = 1, max = crate::domain::MAX_CHARACTERS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_a_port() {
        for text in ["im.partner.example:5269", "198.18.0.7:5269", "[2001:db8::7]:5270"] {
            assert_eq!(text.parse::<RouteTarget>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_its_reason() {
        for (text, why) in [
            ("partner.example", RouteTargetError::Port),
            ("partner.example:", RouteTargetError::Port),
            ("partner.example:0", RouteTargetError::Port),
            ("partner.example:65536", RouteTargetError::Port),
            ("2001:db8::7", RouteTargetError::Port),
            ("[2001:db8::7]", RouteTargetError::Port),
            ("[partner.example]:5269", RouteTargetError::Host),
            (":5269", RouteTargetError::Host),
            ("a b:5269", RouteTargetError::Host),
        ] {
            assert_eq!(text.parse::<RouteTarget>(), Err(why), "{text}");
        }
    }
}
