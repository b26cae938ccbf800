//! `<see-other-host/>` (RFC 6120 §4.9.3.19): the host to which a server redirects us, and why a redirect is not
//! followed.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crds::target::{RouteHost, RouteTarget};

use crate::xml::escape::printable;

/// Maximum redirects that are followed for one stream; §4.9.3.19 requires at least 2 and no more than 5.
pub(crate) const MAX_HOPS: usize = 5;

/// The other host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtherHost {
    /// Name or address.
    pub host: RouteHost,
    /// None: for a name, the port from DNS (§3.2); for an address, 5269.
    pub port: Option<NonZeroU16>,
}

/// The text names no host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be a host name or an IP address, optionally with a port")]
pub struct NotAHost;

impl OtherHost {
    /// Longest text; a domain name has at most 255 bytes in DNS.
    const MAX_BYTES: usize = 300;

    /// Parses `host`, `host:port`, `IPv4`, `IPv4:port`, `[IPv6]` or `[IPv6]:port`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, NotAHost> {
        if text.len() > Self::MAX_BYTES {
            return Err(NotAHost);
        }
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(inner) = bracketed {
            let address = inner.parse().map_err(|_| NotAHost)?;
            return Ok(Self { host: RouteHost::Address(IpAddr::V6(address)), port: None });
        }
        if text.contains(':') {
            let RouteTarget { host, port } = text.parse().map_err(|_| NotAHost)?;
            return Ok(Self { host, port: Some(port) });
        }
        Ok(Self { host: text.parse().map_err(|_| NotAHost)?, port: None })
    }
}

impl fmt::Display for OtherHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            RouteHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            host => host.fmt(f)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What happens with a redirect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Redirect {
    /// It may be followed.
    To(OtherHost),
    /// It must not be followed.
    NotFollowed {
        /// The host in the peer's own words.
        said: String,
        /// The reason.
        reason: NotFollowed,
    },
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotFollowed {
    /// Before TLS, an attacker on the path may have inserted it.
    #[error("the stream is not encrypted, so an attacker may have inserted it")]
    NotEncrypted,
    /// The text is unusable.
    #[error(transparent)]
    NotAHost(#[from] NotAHost),
    /// The chain of hosts leads back.
    #[error("it points back to a host that was already tried")]
    Loop,
    /// The chain of hosts is too long.
    #[error("{MAX_HOPS} redirects have already been followed")]
    TooMany,
    /// The configuration decides where a backend is.
    #[error("the engine connects to a backend only at its configured address")]
    Backend,
}

impl Redirect {
    /// Parses the text of `<see-other-host/>`.
    pub(crate) fn read(text: &str) -> Self {
        match OtherHost::parse(text) {
            Ok(other) => Self::To(other),
            Err(error) => {
                let said = printable(text, OtherHost::MAX_BYTES);
                Self::NotFollowed { said, reason: error.into() }
            }
        }
    }

    /// Adds a reason not to follow it, unless there is one already.
    #[must_use]
    pub fn not_followed(self, reason: NotFollowed) -> Self {
        match self {
            Self::To(other) => Self::NotFollowed { said: other.to_string(), reason },
            refused @ Self::NotFollowed { .. } => refused,
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(other) => write!(f, "{other}"),
            Self::NotFollowed { said, reason } => {
                write!(f, "{said:?}, which is not followed: {reason}")
            }
        }
    }
}

/// The redirects that were followed for one stream.
#[derive(Debug, Default)]
pub struct Hops(Vec<OtherHost>);

impl Hops {
    /// Records the next hop.
    ///
    /// # Errors
    /// When it is one too many, or was visited before.
    pub fn follow(&mut self, other: &OtherHost) -> Result<(), NotFollowed> {
        if self.0.contains(other) {
            return Err(NotFollowed::Loop);
        }
        if self.0.len() >= MAX_HOPS {
            return Err(NotFollowed::TooMany);
        }
        self.0.push(other.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6120_4_9_3_19_a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (text, port) in [
            ("im.partner.example", None),
            ("im.partner.example:9999", NonZeroU16::new(9999)),
            ("198.18.0.7", None),
            ("198.18.0.7:5270", NonZeroU16::new(5270)),
            ("[2001:db8::7]", None),
            ("[2001:db8::7]:5270", NonZeroU16::new(5270)),
        ] {
            let other = OtherHost::parse(text).unwrap();
            assert_eq!(other.port, port, "{text}");
            assert_eq!(other.to_string(), text);
        }
    }

    #[test]
    fn rfc6120_4_9_3_19_what_is_no_host_is_not_followed() {
        let long = "a.".repeat(150) + "example";
        for text in [
            "",
            ":",
            ":5269",
            "host.example:",
            "host.example:0",
            "host.example:65536",
            "host.example:-1",
            "2001:db8::7",
            "[2001:db8::7",
            "[198.18.0.7]",
            "[host.example]:5269",
            "user@host.example",
            "two hosts.example",
            "http://host.example/",
            "a\u{0}b",
            &long,
        ] {
            assert_eq!(OtherHost::parse(text), Err(NotAHost), "{text:?}");
        }
        let redirect = Redirect::read(&"x y".repeat(4000));
        assert!(redirect.to_string().len() < 500, "{redirect}");
    }

    #[test]
    fn rfc6120_4_9_3_19_chains_are_bounded_and_have_no_loops() {
        let other = |n: usize| OtherHost::parse(&format!("h{n}.example")).unwrap();
        let mut hops = Hops::default();
        for n in 0..MAX_HOPS {
            assert_eq!(hops.follow(&other(n)), Ok(()));
            assert_eq!(hops.follow(&other(0)), Err(NotFollowed::Loop));
        }
        assert_eq!(hops.follow(&other(MAX_HOPS)), Err(NotFollowed::TooMany));
    }
}
