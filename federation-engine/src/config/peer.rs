//! The settings that apply to one remote domain, parsed.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crds::effective::{EffectivePeer, EffectiveProbe};
use crds::impossible;
use crds::limits::EffectiveLimits;
use crds::pattern::DomainPattern;
use crds::peer::{Enforcement, Profile, Route};
use crds::rules::PeerRules;
use s2s_proto::certificate::pin::Pin;

use crate::config::error::ConfigErrorKind;

/// Settings of a remote domain, every gap filled. Only combinations that a peer can satisfy exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The entry of `peers[]` that these settings come from; `None`: `peerDefaults`.
    pub entry: Option<DomainPattern>,
    /// The preset that filled the gaps.
    pub profile: Profile,
    /// The rules for negotiating streams.
    pub rules: PeerRules,
    /// Roots in addition to those of `tls.trust`.
    pub bundles: Vec<PathBuf>,
    /// Pinned keys.
    pub pins: Vec<Pin>,
    /// Where to connect instead of querying DNS.
    pub route: Option<Route>,
    /// Largest stanza in bytes.
    pub stanza_bytes: usize,
    /// Stanzas per second and stream.
    pub stanzas_per_second: Option<NonZeroU32>,
    /// Simultaneous streams that the peer opens.
    pub streams: Option<NonZeroU32>,
    /// Whether the two are enforced.
    pub enforcement: Enforcement,
    /// The peer gates the `Ready` condition.
    pub required: bool,
    /// Active verification.
    pub probe: EffectiveProbe,
}

impl Peer {
    /// Parses merged settings.
    ///
    /// # Errors
    /// The path of the field below the entry (empty for the entry as a whole), and the reason.
    pub fn parse(
        entry: Option<DomainPattern>,
        settings: EffectivePeer<PathBuf>,
        limits: &EffectiveLimits,
    ) -> Result<Self, (String, ConfigErrorKind)> {
        impossible::check(&settings)
            .map_err(|reason| (String::new(), ConfigErrorKind::Impossible(reason)))?;
        let pin = |(index, text): (usize, &String)| {
            text.parse().map_err(|error| {
                (format!("tls.pins[{index}]"), ConfigErrorKind::Pin { text: text.clone(), error })
            })
        };
        Ok(Self {
            entry,
            profile: settings.profile,
            rules: settings.rules,
            pins: settings.pins.iter().enumerate().map(pin).collect::<Result<_, _>>()?,
            bundles: settings.bundles,
            route: settings.route,
            stanza_bytes: settings
                .limits
                .stanza_bytes
                .map_or(limits.stanza_bytes, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            stanzas_per_second: settings.limits.stanzas_per_second.and_then(NonZeroU32::new),
            streams: settings.limits.streams.and_then(NonZeroU32::new),
            enforcement: settings.limits.enforcement.unwrap_or_default(),
            required: settings.required,
            probe: settings.probe,
        })
    }
}
