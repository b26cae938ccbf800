//! The effective settings of one peer: its own fields, the federation's defaults and the preset table, merged.
//!
//! The operator and the engine both use this function and [`crate::impossible::check`], so a resource that the operator
//! accepts means the same to the engine.

use crate::peer::{External, PeerLimits, PeerSettings, ProbeMode, Profile, Route};
use crate::rules::{KeyConfirmation, PeerRules, Preset};

/// The settings of one peer with every default filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EffectivePeer<B> {
    /// The preset that supplied the defaults.
    pub profile: Profile,
    /// The rules for negotiating streams.
    pub rules: PeerRules,
    /// CA bundles for this peer, in addition to the federation's.
    pub bundles: Vec<B>,
    /// Pinned keys, as in [`crate::peer::PeerTls::pins`].
    pub pins: Vec<String>,
    /// Where to connect instead of querying DNS.
    pub route: Option<Route>,
    /// Limits for this peer; an absent limit follows the federation's.
    pub limits: PeerLimits,
    /// The peer gates the `Ready` condition.
    pub required: bool,
    /// Active verification.
    pub probe: EffectiveProbe,
}

/// Active verification of a peer, with every default filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EffectiveProbe {
    /// Whether the engine opens a stream to test the peer.
    pub mode: ProbeMode,
    /// JID to ping; `None` is the peer's domain.
    pub to: Option<String>,
}

/// Merges the settings for a peer.
///
/// A setting that presets define (TLS mode, verification, EXTERNAL, dialback) comes from the peer's own field. Otherwise, if
/// the peer names no profile, it comes from the defaults' field. Otherwise it comes from the preset of the peer's profile,
/// the defaults' profile or `Standards`. A peer that names a profile gets that profile as a whole: an override that was made
/// for another preset would produce a mixture that no one chose. A setting that no preset defines (bundles, pins, route,
/// limits, required, probe) comes from the peer, else from the defaults. If no layer sets whether a certificate confirms
/// dialback, it follows from the other settings: `Allowed` means that dialback runs if the certificate does not
/// authenticate the peer.
pub fn effective<B: Clone>(
    defaults: &PeerSettings<B>,
    peer: Option<&PeerSettings<B>>,
) -> EffectivePeer<B> {
    let own_profile = peer.and_then(|p| p.profile);
    let profile = own_profile.or(defaults.profile).unwrap_or_default();
    let layers = Layers { peer, defaults, defaults_override_preset: own_profile.is_none() };
    EffectivePeer {
        profile,
        rules: rules(&layers, profile.preset()),
        bundles: layers
            .beside_preset(|s| s.tls.as_ref().map(|t| t.bundles.clone()).filter(|b| !b.is_empty()))
            .unwrap_or_default(),
        pins: layers
            .beside_preset(|s| s.tls.as_ref().map(|t| t.pins.clone()).filter(|p| !p.is_empty()))
            .unwrap_or_default(),
        route: layers.beside_preset(|s| s.route.clone()),
        limits: PeerLimits {
            stanza_bytes: layers.beside_preset(|s| s.limits.as_ref()?.stanza_bytes),
            stanzas_per_second: layers.beside_preset(|s| s.limits.as_ref()?.stanzas_per_second),
            streams: layers.beside_preset(|s| s.limits.as_ref()?.streams),
            enforcement: layers.beside_preset(|s| s.limits.as_ref()?.enforcement),
        },
        required: layers.beside_preset(|s| s.required).unwrap_or_default(),
        probe: EffectiveProbe {
            mode: layers.beside_preset(|s| s.probe.as_ref()?.mode).unwrap_or_default(),
            to: layers.beside_preset(|s| s.probe.as_ref()?.to.clone()),
        },
    }
}

fn rules<B>(layers: &Layers<'_, B>, preset: Preset) -> PeerRules {
    let tls = layers.of_preset(|s| s.tls.as_ref()?.mode).unwrap_or(preset.tls);
    let verification =
        layers.of_preset(|s| s.tls.as_ref()?.verification).unwrap_or(preset.verification);
    let dialback =
        layers.of_preset(|s| s.authentication.as_ref()?.dialback).unwrap_or(preset.dialback);
    let otherwise = Preset { tls, verification, dialback, ..preset }.rules();
    // No `..otherwise`, so that a new rule must state its source.
    PeerRules {
        tls,
        verification,
        external_inbound: layers
            .of_preset(|s| external(s)?.inbound)
            .unwrap_or(otherwise.external_inbound),
        external_outbound: layers
            .of_preset(|s| external(s)?.outbound)
            .unwrap_or(otherwise.external_outbound),
        dialback,
        key_confirmation: layers
            .of_preset(|s| s.authentication.as_ref()?.confirm_dialback_by_certificate)
            .map_or(otherwise.key_confirmation, KeyConfirmation::by_certificate),
    }
}

fn external<B>(settings: &PeerSettings<B>) -> Option<&External> {
    settings.authentication.as_ref()?.external.as_ref()
}

/// The sources of a field, in order of precedence.
struct Layers<'a, B> {
    peer: Option<&'a PeerSettings<B>>,
    defaults: &'a PeerSettings<B>,
    defaults_override_preset: bool,
}

impl<'a, B> Layers<'a, B> {
    fn of_preset<T>(&self, field: impl Fn(&'a PeerSettings<B>) -> Option<T>) -> Option<T> {
        self.peer
            .and_then(&field)
            .or_else(|| if self.defaults_override_preset { field(self.defaults) } else { None })
    }

    fn beside_preset<T>(&self, field: impl Fn(&'a PeerSettings<B>) -> Option<T>) -> Option<T> {
        self.peer.and_then(&field).or_else(|| field(self.defaults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Dialback, TlsMode, Verification};

    type Settings = PeerSettings<String>;

    fn settings(yaml: serde_json::Value) -> Settings {
        serde_json::from_value(yaml).unwrap()
    }

    #[test]
    fn without_a_word_the_standards_profile_applies() {
        let peer = effective(&Settings::default(), None);
        let rules = peer.rules;
        assert_eq!(peer.profile, Profile::Standards);
        assert_eq!(
            (rules.tls, rules.verification, rules.external_inbound, rules.external_outbound),
            (TlsMode::Required, Verification::Preferred, true, true)
        );
        assert_eq!(rules.dialback, Dialback::Allowed);
        assert_eq!(rules.key_confirmation, KeyConfirmation::CertificateFirst);
        assert_eq!(peer.probe, EffectiveProbe { mode: ProbeMode::Auto, to: None });
        assert!(!peer.required);
    }

    #[test]
    fn xep0344_a_certificate_confirms_dialback_where_dialback_is_for_peers_it_does_not_prove() {
        for profile in Profile::ALL {
            let peer = Settings { profile: Some(profile), ..Settings::default() };
            let confirms = matches!(
                profile,
                Profile::Standards | Profile::CiscoImp | Profile::SametimeGateway
            );
            let found = effective(&Settings::default(), Some(&peer));
            let expected = KeyConfirmation::by_certificate(confirms);
            assert_eq!(found.rules.key_confirmation, expected, "{profile:?}");
        }
        let of = |own| effective(&Settings::default(), Some(&settings(own)));
        for (own, confirms) in [
            (serde_json::json!({"authentication": {"dialback": "Required"}}), false),
            (serde_json::json!({"tls": {"verification": "None"}}), false),
            (serde_json::json!({"authentication": {"confirmDialbackByCertificate": false}}), false),
            (
                serde_json::json!({"profile": "Strict", "authentication": {"dialback": "Allowed"}}),
                true,
            ),
        ] {
            let expected = KeyConfirmation::by_certificate(confirms);
            assert_eq!(of(own.clone()).rules.key_confirmation, expected, "{own}");
        }
    }

    #[test]
    fn own_field_beats_default_field_beats_preset() {
        let defaults = settings(serde_json::json!({
            "tls": {"mode": "Optional", "verification": "None"},
            "authentication": {"dialback": "Required"}
        }));
        let own = settings(serde_json::json!({"tls": {"verification": "Preferred"}}));
        let peer = effective(&defaults, Some(&own));
        let rules = peer.rules;
        assert_eq!(rules.verification, Verification::Preferred);
        assert_eq!(rules.tls, TlsMode::Optional);
        assert_eq!(rules.dialback, Dialback::Required);
        assert!(rules.external_inbound);
    }

    #[test]
    fn a_profile_of_its_own_shields_a_peer_from_overrides_of_another_preset() {
        let defaults = settings(serde_json::json!({
            "profile": "LegacyDialback",
            "tls": {"mode": "Disabled", "pins": ["sha256/x"], "bundles": ["ca.pem"]},
            "limits": {"streams": 3},
            "required": true
        }));
        let own =
            settings(serde_json::json!({"profile": "Strict", "limits": {"stanzaBytes": 20_000}}));
        let peer = effective(&defaults, Some(&own));
        assert_eq!((peer.profile, peer.rules.tls), (Profile::Strict, TlsMode::Required));
        assert_eq!((peer.bundles, peer.pins), (vec!["ca.pem".into()], vec!["sha256/x".into()]));
        assert_eq!((peer.limits.streams, peer.limits.stanza_bytes), (Some(3), Some(20_000)));
        assert!(peer.required);
    }
}
