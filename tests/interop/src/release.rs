//! The tested releases of real servers, and the abilities of each.

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
    /// From Debian 12.
    Prosody0_12,
    /// From Debian 13.
    Prosody13,
    /// From Debian 12.
    Ejabberd23,
    /// From Debian 13.
    Ejabberd24,
    /// From Debian 12.
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

    /// Path of its root file system.
    pub fn root(self, paths: &Paths) -> Result<PathBuf> {
        Ok(self.part().file(paths, "rootfs")?)
    }

    /// Its abilities.
    pub const fn abilities(self) -> Abilities {
        match self {
            Self::Prosody0_12 | Self::Prosody13 | Self::Ejabberd24 => ENGINE,
            // OpenSSL checks the purpose; the later release has relaxed this check.
            Self::Ejabberd23 => Abilities { proof: ProofAbility::ExternalWithClientAuth, ..ENGINE },
            // Without a certificate of its own, its header is that of jabberd 1.4: neither 'to' nor a version.
            Self::Jabberd2 => Abilities {
                proof: ProofAbility::DialbackOnly,
                connection: ConnectionAbility::Legacy,
            },
        }
    }

    /// Whether it uses bidirectional streams with others (XEP-0288). Until 24.12, ejabberd offers them in the namespace
    /// of the request, and does not recognise the offers of others.
    pub const fn goes_both_ways(self) -> bool {
        matches!(self, Self::Prosody0_12 | Self::Prosody13)
    }

    /// Whether it acknowledges stanzas of other servers (XEP-0198).
    pub const fn acknowledges(self) -> bool {
        matches!(self, Self::Prosody0_12 | Self::Prosody13)
    }

    /// The settings of the cell, as far as this server supports them.
    pub fn settings(self, cell: &Cell) -> Settings {
        let asked = cell.theirs;
        match self {
            Self::Prosody0_12 | Self::Prosody13 => asked,
            // One option sets both: a server that requires TLS verifies certificates.
            Self::Ejabberd23 | Self::Ejabberd24 => match asked.encryption {
                Encryption::Required => Settings { demand: Demand::Certificate, ..asked },
                Encryption::Optional | Encryption::Off => asked,
            },
            // It checks no certificate.
            Self::Jabberd2 => Settings { demand: Demand::Dialback, ..asked },
        }
    }

    /// This server, as a side of a stream of that cell.
    pub fn party(self, cell: &Cell) -> Party {
        Party { settings: self.settings(cell), abilities: self.abilities() }
    }

    /// How this server is started there.
    pub fn launch(self, site: &Site) -> Result<Launch> {
        match self {
            Self::Prosody0_12 | Self::Prosody13 => Ok(prosody::launch(site)),
            Self::Ejabberd23 | Self::Ejabberd24 => ejabberd::launch(site),
            Self::Jabberd2 => Ok(jabberd::launch(site)),
        }
    }
}
