//! Settings that no peer could ever satisfy.

use crate::effective::EffectivePeer;
use crate::peer::{Dialback, TlsMode, Verification};
use crate::rules::KeyConfirmation;

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
    /// The fault, and the change that repairs it.
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
    let rules = peer.rules;
    if rules.tls == TlsMode::Disabled && (rules.external_inbound || rules.external_outbound) {
        return Err(ImpossibleCombination::TlsDisabledWithExternal);
    }
    if rules.tls == TlsMode::Disabled && rules.dialback == Dialback::Disabled {
        return Err(ImpossibleCombination::TlsDisabledWithoutDialback);
    }
    if rules.verification == Verification::None && rules.dialback == Dialback::Disabled {
        return Err(ImpossibleCombination::UnverifiedWithoutDialback);
    }
    if rules.verification == Verification::Required && rules.tls != TlsMode::Required {
        return Err(ImpossibleCombination::VerificationRequiredWithoutTls);
    }
    let by_certificate = rules.key_confirmation == KeyConfirmation::CertificateFirst;
    if by_certificate && rules.dialback != Dialback::Allowed {
        return Err(ImpossibleCombination::CertificateConfirmsOtherThanAllowed);
    }
    if by_certificate && !rules.looks_at_certificate() {
        return Err(ImpossibleCombination::UnseenCertificateConfirms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effective::effective;
    use crate::peer::{External, PeerAuthentication, PeerSettings, PeerTls, Profile};

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
