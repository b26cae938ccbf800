//! What the configuration says about one peer, as far as stream negotiation goes.

use crds::effective::{EffectivePeer, KeyConfirmation};
use crds::peer::{Dialback, TlsMode, Verification};

/// The negotiation part of [`EffectivePeer`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerRules {
    /// Whether the stream is encrypted.
    pub tls: TlsMode,
    /// What the peer's certificate decides.
    pub verification: Verification,
    /// EXTERNAL may be offered to the peer.
    pub external_inbound: bool,
    /// EXTERNAL is used when the peer offers it.
    pub external_outbound: bool,
    /// When dialback runs.
    pub dialback: Dialback,
    /// Who confirms a dialback key.
    pub key_confirmation: KeyConfirmation,
}

impl<B> From<&EffectivePeer<B>> for PeerRules {
    fn from(peer: &EffectivePeer<B>) -> Self {
        Self {
            tls: peer.tls,
            verification: peer.verification,
            external_inbound: peer.external_inbound,
            external_outbound: peer.external_outbound,
            dialback: peer.dialback,
            key_confirmation: peer.key_confirmation,
        }
    }
}

impl PeerRules {
    /// Whether a certificate alone may prove the peer that opened the stream.
    pub fn accepts_external(&self) -> bool {
        self.external_inbound
            && self.verification != Verification::None
            && self.dialback != Dialback::Required
    }

    /// Whether we prove ourselves by our certificate when the peer offers it.
    pub fn uses_external(&self) -> bool {
        self.external_outbound && self.dialback != Dialback::Required
    }

    /// Whether dialback may prove anything.
    pub fn allows_dialback(&self) -> bool {
        self.dialback != Dialback::Disabled
    }
}
