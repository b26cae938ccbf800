//! The effective settings of one peer: its own fields, the federation's defaults and the preset table, merged; and the
//! combinations that no peer could ever satisfy.
//!
//! The operator and the engine both use these functions, so a resource that the operator accepts means the same to the
//! engine.

use crate::peer::{
    Dialback, External, PeerLimits, PeerSettings, ProbeMode, Profile, Route, TlsMode, Verification,
};

/// The settings of one peer with every default filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EffectivePeer<B> {
    /// The preset that supplied the defaults.
    pub profile: Profile,
    /// Whether streams are encrypted.
    pub tls: TlsMode,
    /// How the peer's certificate is verified.
    pub verification: Verification,
    /// EXTERNAL is offered to the peer if its certificate authenticates it.
    pub external_inbound: bool,
    /// EXTERNAL is used if the peer offers it.
    pub external_outbound: bool,
    /// When Server Dialback runs.
    pub dialback: Dialback,
    /// Who confirms a dialback key of the peer.
    pub key_confirmation: KeyConfirmation,
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

/// Who confirms a dialback key of a peer to us as receiving server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyConfirmation {
    /// Its certificate, if it authenticates the sender of the key (XEP-0344 §2.4), else the authoritative server.
    CertificateFirst,
    /// The authoritative server (XEP-0220 §2.2).
    AuthoritativeServer,
}

impl KeyConfirmation {
    const fn by_certificate(possible: bool) -> Self {
        if possible { Self::CertificateFirst } else { Self::AuthoritativeServer }
    }
}

/// Active verification of a peer, with every default filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EffectiveProbe {
    /// Whether the engine opens a stream to test the peer.
    pub mode: ProbeMode,
    /// JID to ping; `None` is the peer's domain.
    pub to: Option<String>,
}

/// One row of the preset table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Preset {
    /// Whether streams are encrypted.
    pub tls: TlsMode,
    /// How the peer's certificate is verified.
    pub verification: Verification,
    /// EXTERNAL, both directions.
    pub external: bool,
    /// When Server Dialback runs.
    pub dialback: Dialback,
}

impl Profile {
    /// Every profile, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Standards,
        Self::Strict,
        Self::CiscoImp,
        Self::CiscoExpressway,
        Self::WebexMessenger,
        Self::WebexApp,
        Self::SametimeGateway,
        Self::LegacyDialback,
    ];

    /// The row of the preset table.
    pub const fn preset(self) -> Preset {
        let (tls, verification, external, dialback) = match self {
            Self::Standards | Self::SametimeGateway => {
                (TlsMode::Required, Verification::Preferred, true, Dialback::Allowed)
            }
            Self::Strict => (TlsMode::Required, Verification::Required, true, Dialback::Disabled),
            Self::CiscoImp => (TlsMode::Optional, Verification::Preferred, true, Dialback::Allowed),
            Self::CiscoExpressway => {
                (TlsMode::Required, Verification::None, false, Dialback::Required)
            }
            Self::WebexMessenger | Self::WebexApp => {
                (TlsMode::Optional, Verification::None, false, Dialback::Required)
            }
            Self::LegacyDialback => {
                (TlsMode::Disabled, Verification::None, false, Dialback::Required)
            }
        };
        Preset { tls, verification, external, dialback }
    }
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
    let preset = profile.preset();
    let layers = Layers { peer, defaults, defaults_override_preset: own_profile.is_none() };
    let tls = layers.of_preset(|s| s.tls.as_ref()?.mode).unwrap_or(preset.tls);
    let verification =
        layers.of_preset(|s| s.tls.as_ref()?.verification).unwrap_or(preset.verification);
    let dialback =
        layers.of_preset(|s| s.authentication.as_ref()?.dialback).unwrap_or(preset.dialback);
    EffectivePeer {
        profile,
        tls,
        verification,
        external_inbound: layers.of_preset(|s| external(s)?.inbound).unwrap_or(preset.external),
        external_outbound: layers.of_preset(|s| external(s)?.outbound).unwrap_or(preset.external),
        dialback,
        key_confirmation: KeyConfirmation::by_certificate(
            layers
                .of_preset(|s| s.authentication.as_ref()?.confirm_dialback_by_certificate)
                .unwrap_or(
                    dialback == Dialback::Allowed && looks_at_certificate(tls, verification),
                ),
        ),
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

fn looks_at_certificate(tls: TlsMode, verification: Verification) -> bool {
    tls != TlsMode::Disabled && verification != Verification::None
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

/// Settings that no peer could ever satisfy. The sentences are also the messages of the admission rules.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("{}", self.sentence())]
pub enum ImpossibleCombination {
    /// SASL EXTERNAL depends on the certificate of the TLS handshake (RFC 6120 §13.8.1).
    TlsDisabledWithExternal,
    /// No method is left that could authenticate the peer.
    TlsDisabledWithoutDialback,
    /// No method is left that could authenticate the peer.
    UnverifiedWithoutDialback,
    /// A stream without TLS has no certificate that could be required.
    VerificationRequiredWithoutTls,
    /// `Required` means that dialback runs even if the certificate authenticates the peer.
    CertificateConfirmsOtherThanAllowed,
    /// No certificate is checked, so none can confirm a key.
    UnseenCertificateConfirms,
}

impl ImpossibleCombination {
    /// What is wrong and what to change.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::TlsDisabledWithExternal => {
                "SASL EXTERNAL requires TLS: set tls.mode to Required or Optional, or set both authentication.external.inbound and authentication.external.outbound to false"
            }
            Self::TlsDisabledWithoutDialback => {
                "Without TLS, only dialback can authenticate the peer: set authentication.dialback to Required or Allowed, or set tls.mode to Required"
            }
            Self::UnverifiedWithoutDialback => {
                "Without certificate verification and without dialback, nothing authenticates the peer: set tls.verification to Required, or set authentication.dialback to Allowed or Required"
            }
            Self::VerificationRequiredWithoutTls => {
                "A certificate can only be required on encrypted streams: set tls.mode to Required, or set tls.verification to Preferred"
            }
            Self::CertificateConfirmsOtherThanAllowed => {
                "A certificate can confirm dialback keys only if dialback is Allowed: set authentication.dialback to Allowed, or set authentication.confirmDialbackByCertificate to false"
            }
            Self::UnseenCertificateConfirms => {
                "A certificate that is not checked cannot confirm dialback keys: set tls.verification to Preferred and tls.mode to Required or Optional, or set authentication.confirmDialbackByCertificate to false"
            }
        }
    }
}

/// Rejects settings that no peer could ever satisfy.
///
/// # Errors
/// The first impossible combination, in the order of [`ImpossibleCombination`].
pub fn check<B>(peer: &EffectivePeer<B>) -> Result<(), ImpossibleCombination> {
    if peer.tls == TlsMode::Disabled && (peer.external_inbound || peer.external_outbound) {
        return Err(ImpossibleCombination::TlsDisabledWithExternal);
    }
    if peer.tls == TlsMode::Disabled && peer.dialback == Dialback::Disabled {
        return Err(ImpossibleCombination::TlsDisabledWithoutDialback);
    }
    if peer.verification == Verification::None && peer.dialback == Dialback::Disabled {
        return Err(ImpossibleCombination::UnverifiedWithoutDialback);
    }
    if peer.verification == Verification::Required && peer.tls != TlsMode::Required {
        return Err(ImpossibleCombination::VerificationRequiredWithoutTls);
    }
    let by_certificate = peer.key_confirmation == KeyConfirmation::CertificateFirst;
    if by_certificate && peer.dialback != Dialback::Allowed {
        return Err(ImpossibleCombination::CertificateConfirmsOtherThanAllowed);
    }
    if by_certificate && !looks_at_certificate(peer.tls, peer.verification) {
        return Err(ImpossibleCombination::UnseenCertificateConfirms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{PeerAuthentication, PeerTls};

    type Settings = PeerSettings<String>;

    fn settings(yaml: serde_json::Value) -> Settings {
        serde_json::from_value(yaml).unwrap()
    }

    #[test]
    fn every_preset_is_possible() {
        for profile in Profile::ALL {
            let peer = Settings { profile: Some(profile), ..Settings::default() };
            assert_eq!(check(&effective(&Settings::default(), Some(&peer))), Ok(()), "{profile:?}");
        }
    }

    #[test]
    fn without_a_word_the_standards_profile_applies() {
        let peer = effective(&Settings::default(), None);
        assert_eq!(peer.profile, Profile::Standards);
        assert_eq!(
            (peer.tls, peer.verification, peer.external_inbound, peer.external_outbound),
            (TlsMode::Required, Verification::Preferred, true, true)
        );
        assert_eq!(peer.dialback, Dialback::Allowed);
        assert_eq!(peer.key_confirmation, KeyConfirmation::CertificateFirst);
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
            assert_eq!(found.key_confirmation, expected, "{profile:?}");
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
            assert_eq!(of(own.clone()).key_confirmation, expected, "{own}");
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
        assert_eq!(peer.verification, Verification::Preferred);
        assert_eq!(peer.tls, TlsMode::Optional);
        assert_eq!(peer.dialback, Dialback::Required);
        assert!(peer.external_inbound);
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
        assert_eq!((peer.profile, peer.tls), (Profile::Strict, TlsMode::Required));
        assert_eq!((peer.bundles, peer.pins), (vec!["ca.pem".into()], vec!["sha256/x".into()]));
        assert_eq!((peer.limits.streams, peer.limits.stanza_bytes), (Some(3), Some(20_000)));
        assert!(peer.required);
    }

    #[test]
    fn an_impossible_combination_is_found_whichever_layer_it_comes_from() {
        let legacy = || Settings { profile: Some(Profile::LegacyDialback), ..Settings::default() };
        let with_external = Settings {
            authentication: Some(PeerAuthentication {
                external: Some(External { inbound: Some(true), outbound: None }),
                ..PeerAuthentication::default()
            }),
            ..legacy()
        };
        let of = |own: &Settings| check(&effective(&Settings::default(), Some(own)));
        assert_eq!(of(&with_external), Err(ImpossibleCombination::TlsDisabledWithExternal));

        let without_dialback = |profile| Settings {
            profile: Some(profile),
            authentication: Some(PeerAuthentication {
                dialback: Some(Dialback::Disabled),
                ..PeerAuthentication::default()
            }),
            ..Settings::default()
        };
        for (profile, expected) in [
            (Profile::LegacyDialback, Err(ImpossibleCombination::TlsDisabledWithoutDialback)),
            (Profile::WebexMessenger, Err(ImpossibleCombination::UnverifiedWithoutDialback)),
            (Profile::Standards, Ok(())),
        ] {
            assert_eq!(of(&without_dialback(profile)), expected, "{profile:?}");
        }

        let optional = Settings {
            tls: Some(PeerTls { mode: Some(TlsMode::Optional), ..PeerTls::default() }),
            ..Settings::default()
        };
        let strict = Settings { profile: Some(Profile::Strict), ..optional.clone() };
        assert_eq!(of(&strict), Err(ImpossibleCombination::VerificationRequiredWithoutTls));
        let strict_by_default = Settings { profile: Some(Profile::Strict), ..Settings::default() };
        assert_eq!(
            check(&effective(&strict_by_default, Some(&optional))),
            Err(ImpossibleCombination::VerificationRequiredWithoutTls)
        );

        for (own, expected) in [
            (
                serde_json::json!({"authentication": {
                    "dialback": "Required", "confirmDialbackByCertificate": true
                }}),
                Err(ImpossibleCombination::CertificateConfirmsOtherThanAllowed),
            ),
            (
                serde_json::json!({
                    "tls": {"verification": "None"},
                    "authentication": {"confirmDialbackByCertificate": true}
                }),
                Err(ImpossibleCombination::UnseenCertificateConfirms),
            ),
            (serde_json::json!({"authentication": {"confirmDialbackByCertificate": true}}), Ok(())),
        ] {
            assert_eq!(of(&settings(own.clone())), expected, "{own}");
        }
    }
}
