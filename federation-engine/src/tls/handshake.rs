//! Texts for a failed handshake: what was offered, and what the peer answered. For the log and the operator only.

use std::fmt::{Debug, Write};
use std::io;

use rustls::server::ClientHello;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CipherSuite, Error, NamedGroup, PeerIncompatible, ProtocolVersion};

use super::config::provider;

/// Maximum names of one kind in a message.
const MAX_NAMES: usize = 16;

/// The versions that we offer and accept.
fn versions() -> [ProtocolVersion; 2] {
    [TLS13.version, TLS12.version]
}

/// The parameters that a client offers.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    ciphers: Vec<CipherSuite>,
    groups: Vec<NamedGroup>,
}

impl Offer {
    /// Our offer, as client.
    pub fn ours() -> Self {
        let provider = provider();
        Self {
            ciphers: provider
                .cipher_suites
                .iter()
                .map(rustls::SupportedCipherSuite::suite)
                .collect(),
            groups: provider.kx_groups.iter().map(|group| group.name()).collect(),
        }
    }

    /// A peer's offer.
    pub fn of(hello: &ClientHello<'_>) -> Self {
        let first = |ciphers: &[CipherSuite]| ciphers.iter().take(MAX_NAMES).copied().collect();
        let groups = hello.named_groups().unwrap_or_default();
        Self {
            ciphers: first(hello.cipher_suites()),
            groups: groups.iter().take(MAX_NAMES).copied().collect(),
        }
    }

    fn described(&self) -> String {
        format!("cipher suites {}; key exchange {}", listed(&self.ciphers), listed(&self.groups))
    }

    /// Why a handshake failed in which we were the client. `local`: the domain whose certificate we presented, if any.
    pub fn refused(&self, error: &io::Error, local: Option<&str>) -> String {
        let offered =
            || format!("The engine offered {}; {}", listed(&versions()), self.described());
        match cause(error) {
            Some(Error::AlertReceived(alert)) if is_about_certificate(*alert) => match local {
                Some(local) => {
                    format!("the peer refused our certificate for {local} (TLS alert {alert:?})")
                }
                None => format!(
                    "the peer requires a certificate, but the engine presented none (TLS alert {alert:?})"
                ),
            },
            Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
                "the peer has no certificate for this domain (TLS alert UnrecognisedName)"
                    .to_owned()
            }
            Some(Error::AlertReceived(alert)) if is_about_offer(*alert) => {
                format!(
                    "the peer accepts none of the offered parameters (TLS alert {alert:?}). {}",
                    offered()
                )
            }
            Some(Error::PeerIncompatible(why)) => {
                format!("the peer selected none of the offered parameters ({why:?}). {}", offered())
            }
            _ if error.kind() == io::ErrorKind::UnexpectedEof => {
                format!("the peer closed the connection without a TLS alert. {}", offered())
            }
            other => common(other, error),
        }
    }

    /// Why a handshake failed in which the peer was the client.
    pub fn unacceptable(&self, error: &io::Error) -> String {
        match cause(error) {
            Some(Error::AlertReceived(alert)) if is_about_certificate(*alert) => {
                format!("the peer refused our certificate (TLS alert {alert:?})")
            }
            Some(Error::PeerIncompatible(
                why @ (PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired),
            )) => {
                let accepted = listed(&versions());
                format!("the peer offered none of the versions {accepted} ({why:?})")
            }
            Some(Error::PeerIncompatible(why)) => format!(
                "none of the peer's parameters is accepted ({why:?}); offered: {}; accepted: {}",
                self.described(),
                Self::ours().described()
            ),
            _ if error.kind() == io::ErrorKind::UnexpectedEof => {
                "the peer closed the connection without a TLS alert".to_owned()
            }
            other => common(other, error),
        }
    }

    /// [`Self::unacceptable`] as an I/O error.
    pub fn explain(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), self.unacceptable(error))
    }
}

fn common(cause: Option<&Error>, error: &io::Error) -> String {
    match cause {
        Some(Error::AlertReceived(alert)) => format!("the peer sent the TLS alert {alert:?}"),
        Some(Error::InvalidMessage(what)) => {
            format!("the peer did not answer in TLS ({what:?})")
        }
        _ => error.to_string(),
    }
}

/// The error of the TLS library.
fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Why a handshake failed after which the first bytes were read. A server of TLS 1.3 verifies our certificate when our
/// side of the handshake is already complete (RFC 8446 §4.4.2.4), so its refusal arrives in place of its stream header.
pub fn late_refusal(error: &io::Error, local: Option<&str>) -> Option<String> {
    matches!(cause(error), Some(Error::AlertReceived(_)))
        .then(|| Offer::ours().refused(error, local))
}

/// RFC 8446 §6.2, RFC 5246 §7.2.2.
fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

fn is_about_offer(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol
    )
}

fn listed<T: Debug>(names: &[T]) -> String {
    let mut out = String::new();
    for (index, name) in names.iter().take(MAX_NAMES).enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{separator}{name:?}");
    }
    if out.is_empty() { "none".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(cause: Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, cause)
    }

    fn alert(alert: AlertDescription) -> io::Error {
        error(Error::AlertReceived(alert))
    }

    #[test]
    fn a_peer_that_accepts_nothing_is_quoted_beside_what_was_offered() {
        for (error, said) in [
            (alert(AlertDescription::ProtocolVersion), "ProtocolVersion"),
            (alert(AlertDescription::HandshakeFailure), "HandshakeFailure"),
            (
                error(PeerIncompatible::ServerDoesNotSupportTls12Or13.into()),
                "ServerDoesNotSupportTls12Or13",
            ),
            (io::ErrorKind::UnexpectedEof.into(), "closed the connection"),
        ] {
            let text = Offer::ours().refused(&error, Some("us.example"));
            for part in [said, "TLSv1_3", "TLSv1_2", "TLS13_AES_128_GCM_SHA256", "X25519"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn a_refused_certificate_is_named() {
        let unknown = alert(AlertDescription::UnknownCA);
        let text = Offer::ours().refused(&unknown, Some("us.example"));
        assert_eq!(text, "the peer refused our certificate for us.example (TLS alert UnknownCA)");
        let required = alert(AlertDescription::CertificateRequired);
        let text = Offer::ours().refused(&required, None);
        assert!(
            text.starts_with("the peer requires a certificate, but the engine presented none"),
            "{text}"
        );
        let text = Offer::default().unacceptable(&unknown);
        assert_eq!(text, "the peer refused our certificate (TLS alert UnknownCA)");
        assert_eq!(late_refusal(&io::ErrorKind::UnexpectedEof.into(), None), None);
        assert!(late_refusal(&unknown, Some("us.example")).is_some());
    }

    #[test]
    fn what_a_peer_offers_in_vain_is_named_beside_what_is_accepted() {
        let ciphers = vec![CipherSuite::TLS_RSA_WITH_3DES_EDE_CBC_SHA; 1_000];
        let offer = Offer { ciphers, groups: Vec::new() };
        let text = offer.unacceptable(&error(PeerIncompatible::NoCipherSuitesInCommon.into()));
        for part in
            ["NoCipherSuitesInCommon", "CipherSuite(0xa)", "none", "TLS13_AES_128_GCM_SHA256"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.len() < 2_000);
        let text = offer.unacceptable(&error(PeerIncompatible::Tls12NotOfferedOrEnabled.into()));
        assert!(text.contains("TLSv1_3, TLSv1_2"), "{text}");
    }
}
