//! Admission rules that reject impossible peer settings, generated from the preset table: a rule merges the layers as
//! [`crate::effective::effective`] does, and rejects what [`crate::impossible::check`] rejects.

use kube::core::Rule;
use serde::Serialize;

use crate::impossible::ImpossibleCombination;
use crate::peer::{Dialback, Profile, TlsMode, Verification};
use crate::rules::Preset;

/// The settings that a rule checks.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// `peerDefaults` alone.
    Defaults,
    /// An entry of `peers` that names its own profile; the defaults do not change that profile.
    OwnProfile,
    /// The entries of `peers` that follow the profile of `peerDefaults`, seen from the spec.
    InheritedProfile,
}

impl Scope {
    /// The rule that rejects the combination.
    pub(super) fn refuse(self, combination: ImpossibleCombination) -> Rule {
        let possible = format!("!({})", self.condition(combination));
        let message = combination.sentence();
        match self {
            Self::Defaults => Rule::new(format!(
                "[has(self.profile) ? self.profile : {standards}].all(profile, {possible})",
                standards = literal(&Profile::default()),
            ))
            .message(message),
            Self::OwnProfile => {
                Rule::new(format!("!has(self.profile) || [self.profile].all(profile, {possible})"))
                    .message(message)
            }
            Self::InheritedProfile => Rule::new(format!(
                "!has(self.peers) || [has(self.peerDefaults) && has(self.peerDefaults.profile) \
                 ? self.peerDefaults.profile : {standards}]\
                 .all(profile, self.peers.all(p, has(p.profile) || {possible}))",
                standards = literal(&Profile::default()),
            ))
            .message(message)
            .field_path(".peers"),
        }
    }

    /// True when the settings have the combination.
    fn condition(self, combination: ImpossibleCombination) -> String {
        let tls = || self.value(&["tls", "mode"], |p| literal(&p.tls));
        let verification = || self.value(&["tls", "verification"], |p| literal(&p.verification));
        let dialback = || self.value(&["authentication", "dialback"], |p| literal(&p.dialback));
        let external = |direction| {
            self.value(&["authentication", "external", direction], |p| literal(&p.external))
        };
        // If no layer sets it, it follows from the other settings and is possible.
        let confirmed = || {
            let path = ["authentication", "confirmDialbackByCertificate"];
            self.value(&path, |_| literal(&false))
        };
        match combination {
            ImpossibleCombination::TlsDisabledWithExternal => format!(
                "{} == {} && ({} || {})",
                tls(),
                literal(&TlsMode::Disabled),
                external("inbound"),
                external("outbound")
            ),
            ImpossibleCombination::TlsDisabledWithoutDialback => format!(
                "{} == {} && {} == {}",
                tls(),
                literal(&TlsMode::Disabled),
                dialback(),
                literal(&Dialback::Disabled)
            ),
            ImpossibleCombination::UnverifiedWithoutDialback => format!(
                "{} == {} && {} == {}",
                verification(),
                literal(&Verification::None),
                dialback(),
                literal(&Dialback::Disabled)
            ),
            ImpossibleCombination::VerificationRequiredWithoutTls => format!(
                "{} == {} && {} != {}",
                verification(),
                literal(&Verification::Required),
                tls(),
                literal(&TlsMode::Required)
            ),
            ImpossibleCombination::CertificateConfirmsOtherThanAllowed => {
                format!("{} && {} != {}", confirmed(), dialback(), literal(&Dialback::Allowed))
            }
            ImpossibleCombination::UnseenCertificateConfirms => format!(
                "{} && ({} == {} || {} == {})",
                confirmed(),
                tls(),
                literal(&TlsMode::Disabled),
                verification(),
                literal(&Verification::None)
            ),
        }
    }

    /// The value of a field: of the first layer that has it, else the preset's.
    fn value(self, path: &[&str], preset: fn(Preset) -> String) -> String {
        let layers: &[&str] = match self {
            Self::Defaults | Self::OwnProfile => &["self"],
            Self::InheritedProfile => &["p", "self.peerDefaults"],
        };
        layers.iter().rev().fold(by_profile(preset), |otherwise, layer| {
            let mut reference = (*layer).to_owned();
            // If the layer is a field itself, its presence must be checked as well.
            let mut conditions =
                if layer.contains('.') { vec![format!("has({layer})")] } else { Vec::new() };
            for step in path {
                reference = format!("{reference}.{step}");
                conditions.push(format!("has({reference})"));
            }
            format!("({} ? {reference} : {otherwise})", conditions.join(" && "))
        })
    }
}

/// The value of the preset of the variable `profile`: profiles are grouped by value, and one group is the fallback.
fn by_profile(preset: fn(Preset) -> String) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for profile in Profile::ALL {
        let value = preset(profile.preset());
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, profiles)) => profiles.push(literal(&profile)),
            None => groups.push((value, vec![literal(&profile)])),
        }
    }
    let (remainder, groups) = match groups.split_first() {
        Some(((value, _), rest)) => (value.clone(), rest),
        None => (String::new(), groups.as_slice()),
    };
    let expression = groups.iter().rev().fold(remainder, |otherwise, (value, profiles)| {
        format!("profile in [{}] ? {value} : {otherwise}", profiles.join(", "))
    });
    format!("({expression})")
}

/// The CEL literal of a word: its JSON form.
fn literal<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
