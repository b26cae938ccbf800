//! The rules of a peer: how its streams are encrypted, and who authenticates to whom and how. A resource or file resolves to
//! this type, `federation-engine check` prints it, and streams are negotiated by it.

use crate::peer::{
    Dialback, External, PeerAuthentication, PeerTls, Profile, TlsMode, Verification,
};

/// The rules of one peer, with every default filled in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerRules {
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
    /// The server that confirms a dialback key of the peer.
    pub key_confirmation: KeyConfirmation,
}

impl PeerRules {
    /// Whether a certificate alone may authenticate the peer that opened the stream.
    pub fn accepts_external(self) -> bool {
        self.external_inbound
            && self.verification != Verification::None
            && self.dialback != Dialback::Required
    }

    /// Whether we authenticate by our certificate if the peer offers it.
    pub fn uses_external(self) -> bool {
        self.external_outbound && self.dialback != Dialback::Required
    }

    /// Whether dialback may authenticate a peer.
    pub fn allows_dialback(self) -> bool {
        self.dialback != Dialback::Disabled
    }

    /// Whether the peer's certificate is verified at all.
    pub(crate) const fn looks_at_certificate(self) -> bool {
        looks_at_certificate(self.tls, self.verification)
    }

    /// The `tls` settings that express these rules.
    pub fn tls_settings<B>(self) -> PeerTls<B> {
        PeerTls {
            mode: Some(self.tls),
            verification: Some(self.verification),
            ..PeerTls::default()
        }
    }

    /// The `authentication` settings that express these rules.
    pub fn authentication_settings(self) -> PeerAuthentication {
        PeerAuthentication {
            external: Some(External {
                inbound: Some(self.external_inbound),
                outbound: Some(self.external_outbound),
            }),
            dialback: Some(self.dialback),
            confirm_dialback_by_certificate: Some(
                self.key_confirmation == KeyConfirmation::CertificateFirst,
            ),
        }
    }
}

/// The server that confirms a dialback key of a peer to us as receiving server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyConfirmation {
    /// Its certificate, if it authenticates the sender of the key (XEP-0344 §2.4), else the authoritative server.
    CertificateFirst,
    /// The authoritative server (XEP-0220 §2.2).
    AuthoritativeServer,
}

impl KeyConfirmation {
    pub(crate) const fn by_certificate(possible: bool) -> Self {
        if possible { Self::CertificateFirst } else { Self::AuthoritativeServer }
    }
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

impl Preset {
    /// The rules of a peer without other settings. Its certificate confirms dialback if dialback runs only when the
    /// certificate does not authenticate the peer.
    pub const fn rules(self) -> PeerRules {
        let Self { tls, verification, external, dialback } = self;
        let by_certificate =
            matches!(dialback, Dialback::Allowed) && looks_at_certificate(tls, verification);
        PeerRules {
            tls,
            verification,
            external_inbound: external,
            external_outbound: external,
            dialback,
            key_confirmation: KeyConfirmation::by_certificate(by_certificate),
        }
    }
}

const fn looks_at_certificate(tls: TlsMode, verification: Verification) -> bool {
    !matches!(tls, TlsMode::Disabled) && !matches!(verification, Verification::None)
}
