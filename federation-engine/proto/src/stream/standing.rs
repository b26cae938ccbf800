//! Whether a stream that was authenticated under one configuration may continue under another one. Pure.

use crds::peer::{TlsMode, Verification};
use crds::rules::KeyConfirmation;

use super::{Authentication, PeerRules};

/// How a pair of a stream was authenticated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The method.
    pub how: Authentication,
    /// The stream is encrypted.
    pub is_encrypted: bool,
    /// We opened the stream.
    pub is_ours: bool,
}

impl Standing {
    /// Whether the pair could be authenticated in this way under these rules. `certificate` returns whether the peer's
    /// certificate is valid, and is only called if that decides.
    pub fn fits(self, rules: PeerRules, certificate: impl FnOnce() -> bool) -> bool {
        let by_certificate = match self.how {
            Authentication::External => !self.is_ours,
            Authentication::DialbackByCertificate => true,
            Authentication::Dialback => false,
        };
        self.fits_encryption(rules)
            && self.fits_method(rules)
            && (!(by_certificate || rules.verification == Verification::Required) || certificate())
    }

    fn fits_encryption(self, rules: PeerRules) -> bool {
        match rules.tls {
            TlsMode::Required => self.is_encrypted,
            TlsMode::Optional => true,
            TlsMode::Disabled => !self.is_encrypted,
        }
    }

    fn fits_method(self, rules: PeerRules) -> bool {
        match self.how {
            Authentication::External if self.is_ours => rules.uses_external(),
            Authentication::External => rules.accepts_external(),
            Authentication::Dialback => rules.allows_dialback(),
            Authentication::DialbackByCertificate => {
                rules.allows_dialback()
                    && rules.verification != Verification::None
                    && rules.key_confirmation == KeyConfirmation::CertificateFirst
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::peer::{Dialback, Profile};

    const STANDARD: PeerRules = Profile::Standards.preset().rules();

    #[test]
    fn a_stream_stands_as_long_as_it_could_be_opened_again_in_the_same_way() {
        let standing = |how, is_encrypted, is_ours| Standing { how, is_encrypted, is_ours };
        let theirs = standing(Authentication::External, true, false);
        let ours = standing(Authentication::External, true, true);
        let dialback = standing(Authentication::Dialback, true, false);
        let confirmed = standing(Authentication::DialbackByCertificate, true, false);
        let clear = standing(Authentication::Dialback, false, true);
        let required = PeerRules { verification: Verification::Required, ..STANDARD };
        let unseen = PeerRules { verification: Verification::None, ..STANDARD };
        let always = PeerRules { dialback: Dialback::Required, ..STANDARD };
        let never = PeerRules { dialback: Dialback::Disabled, ..STANDARD };
        let asked =
            PeerRules { key_confirmation: KeyConfirmation::AuthoritativeServer, ..STANDARD };
        let optional = PeerRules { tls: TlsMode::Optional, ..STANDARD };
        let disabled = PeerRules { tls: TlsMode::Disabled, ..STANDARD };
        let outbound_only = PeerRules { external_inbound: false, ..STANDARD };
        for (standing, rules, with_certificate, without) in [
            (theirs, STANDARD, true, false),
            (ours, STANDARD, true, true),
            (dialback, STANDARD, true, true),
            (confirmed, STANDARD, true, false),
            (clear, STANDARD, false, false),
            (ours, required, true, false),
            (dialback, required, true, false),
            (theirs, unseen, false, false),
            (ours, unseen, true, true),
            (confirmed, unseen, false, false),
            (theirs, always, false, false),
            (ours, always, false, false),
            (dialback, always, true, true),
            (theirs, never, true, false),
            (dialback, never, false, false),
            (confirmed, never, false, false),
            (dialback, asked, true, true),
            (confirmed, asked, false, false),
            (clear, optional, true, true),
            (clear, disabled, true, true),
            (dialback, disabled, false, false),
            (theirs, outbound_only, false, false),
            (ours, outbound_only, true, true),
        ] {
            let seen = [true, false].map(|valid| standing.fits(rules, || valid));
            assert_eq!(seen, [with_certificate, without], "{standing:?} under {rules:?}");
        }
    }
}
