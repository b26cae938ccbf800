//! The list of attacks.

use std::fmt;
use std::str::FromStr;

use s2s_peer::error::Result;

use super::aim::Aim;
use super::tally::Tally;
use super::{
    amplification, attributes, backends, chains, connections, dialback, names, white_space,
};

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Certificates with many intermediates of one name and key.
    CertificateChains,
    /// Stanzas with many prefixed attributes.
    PrefixedAttributes,
    /// A header that binds a prefix to a long name, and small stanzas that use it.
    LongNamespaces,
    /// Dialback requests from domains that require a lookup.
    DialbackLookups,
    /// Dialback requests from domains whose server never answers.
    DialbackHanging,
    /// Connections that send nothing.
    SilentConnections,
    /// Connections that stop within their header.
    SlowHeaders,
    /// Encrypted streams that never authenticate.
    UnauthenticatedStreams,
    /// Many streams of one certificate.
    AuthenticatedStreams,
    /// Small stanzas with white space between them, to a receiver that does not read.
    WhiteSpace,
    /// Silent connections to the port of the probes.
    AdminPort,
    /// One wildcard certificate for many names.
    WildcardNames,
    /// Streams that are refused at once.
    LogFlood,
    /// A backend that sends requests without end.
    BackendFlood,
    /// A backend that sends garbage.
    BackendGarbage,
}

/// The privileges that an attacker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None.
    Stranger,
    /// The name of an authority that the target trusts.
    KnowsAuthority,
    /// A certificate that the target trusts.
    Authenticated,
}

impl Kind {
    /// All attacks.
    pub const ALL: [Self; 15] = [
        Self::CertificateChains,
        Self::PrefixedAttributes,
        Self::LongNamespaces,
        Self::DialbackLookups,
        Self::DialbackHanging,
        Self::SilentConnections,
        Self::SlowHeaders,
        Self::UnauthenticatedStreams,
        Self::AuthenticatedStreams,
        Self::WhiteSpace,
        Self::AdminPort,
        Self::WildcardNames,
        Self::LogFlood,
        Self::BackendFlood,
        Self::BackendGarbage,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertificateChains => "certificate-chains",
            Self::PrefixedAttributes => "prefixed-attributes",
            Self::LongNamespaces => "long-namespaces",
            Self::DialbackLookups => "dialback-lookups",
            Self::DialbackHanging => "dialback-hanging",
            Self::SilentConnections => "silent-connections",
            Self::SlowHeaders => "slow-headers",
            Self::UnauthenticatedStreams => "unauthenticated-streams",
            Self::AuthenticatedStreams => "authenticated-streams",
            Self::WhiteSpace => "white-space",
            Self::AdminPort => "admin-port",
            Self::WildcardNames => "wildcard-names",
            Self::LogFlood => "log-flood",
            Self::BackendFlood => "backend-flood",
            Self::BackendGarbage => "backend-garbage",
        }
    }

    /// The privileges that it needs.
    pub fn standing(self) -> Standing {
        match self {
            Self::CertificateChains => Standing::KnowsAuthority,
            Self::PrefixedAttributes
            | Self::LongNamespaces
            | Self::AuthenticatedStreams
            | Self::WhiteSpace
            | Self::WildcardNames
            | Self::BackendFlood
            | Self::BackendGarbage => Standing::Authenticated,
            Self::DialbackLookups
            | Self::DialbackHanging
            | Self::SilentConnections
            | Self::SlowHeaders
            | Self::UnauthenticatedStreams
            | Self::AdminPort
            | Self::LogFlood => Standing::Stranger,
        }
    }

    /// Number of connections that was enough to harm servers without limits.
    pub fn connections(self) -> usize {
        match self {
            Self::CertificateChains | Self::PrefixedAttributes | Self::LongNamespaces => 2,
            Self::WhiteSpace | Self::BackendFlood | Self::BackendGarbage => 4,
            Self::DialbackLookups | Self::DialbackHanging | Self::LogFlood => 8,
            Self::WildcardNames => 150,
            Self::AdminPort => 400,
            Self::SilentConnections | Self::SlowHeaders | Self::AuthenticatedStreams => 2_100,
            Self::UnauthenticatedStreams => 1_000,
        }
    }

    /// Runs the attack until the tally is stopped.
    ///
    /// # Errors
    /// Fails if the aim lacks a parameter. A target that refuses or closes connections is no error.
    pub fn run(self, aim: &Aim, tally: &Tally) -> Result<()> {
        match self {
            Self::CertificateChains => chains::chains(aim, tally),
            Self::PrefixedAttributes => attributes::attributes(aim, tally),
            Self::LongNamespaces => amplification::namespaces(aim, tally),
            Self::DialbackLookups => dialback::lookups(aim, tally),
            Self::DialbackHanging => dialback::hanging(aim, tally),
            Self::SilentConnections | Self::AdminPort => {
                connections::silent(aim, tally);
                Ok(())
            }
            Self::SlowHeaders => {
                connections::slow_headers(aim, tally);
                Ok(())
            }
            Self::LogFlood => {
                connections::log_flood(aim, tally);
                Ok(())
            }
            Self::UnauthenticatedStreams => connections::unauthenticated(aim, tally),
            Self::AuthenticatedStreams => connections::authenticated(aim, tally),
            Self::WhiteSpace => white_space::white_space(aim, tally),
            Self::WildcardNames => names::wildcard(aim, tally),
            Self::BackendFlood => backends::flood(aim, tally),
            Self::BackendGarbage => backends::garbage(aim, tally),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("unknown attack {name:?}; expected one of {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_parsed_and_no_other() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let refused = "smurf".parse::<Kind>().unwrap_err();
        assert!(refused.contains("log-flood"), "{refused}");
    }
}
