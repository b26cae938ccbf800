//! `peers` of the file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::pattern::DomainPattern;
use crate::peer::{PeerAuthentication, PeerLimits, PeerSettings, PeerTls, Probe, Profile, Route};

/// Settings of one peer. (Flattening [`PeerSettings`] would hide unknown fields and their lines.)
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilePeer {
    /// Exact domain, or `*.suffix`.
    pub domain: DomainPattern,
    /// See [`PeerSettings::profile`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// See [`PeerSettings::tls`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTls<PathBuf>>,
    /// See [`PeerSettings::authentication`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<PeerAuthentication>,
    /// See [`PeerSettings::route`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// See [`PeerSettings::limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<PeerLimits>,
    /// See [`PeerSettings::required`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// See [`PeerSettings::probe`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

impl FilePeer {
    /// The entry for these settings.
    pub fn new(domain: DomainPattern, settings: PeerSettings<PathBuf>) -> Self {
        let PeerSettings { profile, tls, authentication, route, limits, required, probe } =
            settings;
        Self { domain, profile, tls, authentication, route, limits, required, probe }
    }

    /// The pattern, and the settings without it.
    pub fn split(self) -> (DomainPattern, PeerSettings<PathBuf>) {
        let Self { domain, profile, tls, authentication, route, limits, required, probe } = self;
        let settings =
            PeerSettings { profile, tls, authentication, route, limits, required, probe };
        (domain, settings)
    }
}
