//! The releases of real servers that are tested with, and what each can do.

use std::path::PathBuf;

use harness::launch::Launch;
use lab::debian::Debian;
use lab::parts::Part;
use lab::paths::Paths;

use super::cell::{Cell, Demand, Encryption, Settings};
use super::error::Result;
use super::expect::{Abilities, ConnectionAbility, ENGINE, Party, ProofAbility};
use super::site::Site;
use super::{ejabberd, jabberd, prosody};

/// One release of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Debian 12's.
    Prosody0_12,
    /// Debian 13's.
    Prosody13,
    /// Debian 12's.
    Ejabberd23,
    /// Debian 13's.
    Ejabberd24,
    /// Debian 12's.
    Jabberd2,
}

impl Release {
    /// The part of the cache that it comes from.
    pub const fn part(self) -> Part {
        match self {
            Self::Prosody0_12 => Part::Prosody,
            Self::Prosody13 => Part::Server(Debian::Prosody13),
            Self::Ejabberd23 => Part::Server(Debian::Ejabberd12),
            Self::Ejabberd24 => Part::Server(Debian::Ejabberd13),
            Self::Jabberd2 => Part::Server(Debian::Jabberd12),
        }
    }

    /// Where its root file system is.
    pub fn root(self, paths: &Paths) -> Result<PathBuf> {
        Ok(self.part().file(paths, "rootfs")?)
    }

    /// What it can do.
    pub const fn abilities(self) -> Abilities {
        match self {
            Self::Prosody0_12 | Self::Prosody13 | Self::Ejabberd24 => ENGINE,
            // OpenSSL's check of the purpose, which the later release has relaxed.
            Self::Ejabberd23 => Abilities { proof: ProofAbility::ExternalWithClientAuth, ..ENGINE },
            // Without a certificate of its own, its header is that of jabberd 1.4: neither 'to' nor a version.
            Self::Jabberd2 => Abilities {
                proof: ProofAbility::DialbackOnly,
                connection: ConnectionAbility::Legacy,
            },
        }
    }

    /// It uses a stream both ways with others (XEP-0288). ejabberd offers that in the namespace of the request until 24.12,
    /// and does not know the offers of others.
    pub const fn goes_both_ways(self) -> bool {
        matches!(self, Self::Prosody0_12 | Self::Prosody13)
    }

    /// It acknowledges stanzas of other servers (XEP-0198).
    pub const fn acknowledges(self) -> bool {
        matches!(self, Self::Prosody0_12 | Self::Prosody13)
    }

    /// The settings of the cell, as far as this server can be told them.
    pub fn settings(self, cell: &Cell) -> Settings {
        let asked = cell.theirs;
        match self {
            Self::Prosody0_12 | Self::Prosody13 => asked,
            // One option sets both: whoever requires TLS verifies certificates.
            Self::Ejabberd23 | Self::Ejabberd24 => match asked.encryption {
                Encryption::Required => Settings { demand: Demand::Certificate, ..asked },
                Encryption::Optional | Encryption::Off => asked,
            },
            // It looks at no certificate.
            Self::Jabberd2 => Settings { demand: Demand::Dialback, ..asked },
        }
    }

    /// It, as a side of a stream of that cell.
    pub fn party(self, cell: &Cell) -> Party {
        Party { settings: self.settings(cell), abilities: self.abilities() }
    }

    /// How it is started there.
    pub fn launch(self, site: &Site) -> Result<Launch> {
        match self {
            Self::Prosody0_12 | Self::Prosody13 => Ok(prosody::launch(site)),
            Self::Ejabberd23 | Self::Ejabberd24 => ejabberd::launch(site),
            Self::Jabberd2 => Ok(jabberd::launch(site)),
        }
    }
}
