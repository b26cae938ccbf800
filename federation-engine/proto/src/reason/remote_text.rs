//! The text of a reason for remote servers and their users; its `Display` is for the local ones. The text is sufficient
//! to repair the remote side and reveals nothing about this one. It contains no address, port, host, resolver, setting
//! or pinned key, and no text of another server or a library: an attacker who makes us connect would read them.

use super::{CertificateReason, DnsReason, Failure, StanzaError};

impl Failure {
    /// The text for the remote server that caused the attempt.
    pub fn remote_text(&self) -> &'static str {
        match self {
            Self::BlockedByLocalPolicy => "federation with this domain is not allowed",
            Self::Dns(reason) => reason.remote_text(),
            // The result for each address would let remote servers scan networks through us.
            Self::Connect(_) | Self::Guard(_) => {
                "a connection to the server of this domain could not be established"
            }
            Self::StartTlsNotOffered => "TLS is required, and the server does not offer STARTTLS",
            Self::StartTlsRefused => "the server refused STARTTLS",
            Self::Handshake(_) => "the TLS handshake with the server of this domain failed",
            Self::Certificate(_) | Self::CertificateRequired(_) => {
                "the certificate of the server of this domain does not authenticate the domain"
            }
            Self::StreamError { .. } => "the server of this domain closed the stream with an error",
            Self::SeeOtherHost(_) => {
                "the server of this domain redirects to another host, which is not contacted"
            }
            Self::NotXmpp(_) => "the server of this domain does not speak XMPP",
            Self::NoAuthenticationMethod(_) => {
                "the server of this domain offers no usable authentication method"
            }
            Self::ExternalRejected { .. } => "the server of this domain rejected our certificate",
            Self::DialbackInvalid(_) | Self::DialbackError { .. } => {
                "the server of this domain did not accept our dialback key"
            }
            Self::DialbackTimedOut => {
                "the server of this domain did not answer a dialback request in time"
            }
            Self::NegotiationTimedOut(_) => {
                "negotiation of the stream to the server of this domain timed out"
            }
            Self::ConnectionLost(_) => "the connection to the server of this domain broke",
            Self::NoBackend | Self::ComponentNotConnected => {
                "no server is available for this domain"
            }
            Self::ShuttingDown => "the server is shutting down",
        }
    }

    /// [`Self::stanza_error`] for a remote sender whose stanza could not reach a local server. The remote side must not
    /// learn where that server is, nor which step failed.
    pub fn stanza_error_outside(&self) -> StanzaError {
        let text = match self {
            Self::NoBackend | Self::ShuttingDown | Self::BlockedByLocalPolicy => self.remote_text(),
            _ => "the server of this domain is currently unreachable",
        };
        StanzaError { text: text.to_owned(), ..self.stanza_error() }
    }
}

impl DnsReason {
    fn remote_text(&self) -> &'static str {
        match self {
            Self::DomainNotFound { .. } => "DNS has no SRV or address records for this domain",
            Self::NoAddress { .. } => "the SRV targets of this domain have no address",
            Self::ServiceDisabled { .. } => {
                "this domain does not federate: the target of its SRV record is \".\""
            }
            Self::ResolverUnavailable { .. } => "the DNS lookup for this domain failed",
            Self::Bogus { .. } => "the DNS records of this domain fail DNSSEC validation",
        }
    }
}

impl CertificateReason {
    /// The text for the server that presented the certificate. It reveals nothing about what is expected here.
    pub(crate) fn remote_text(&self) -> String {
        match self {
            Self::PinMismatch | Self::DaneMismatch { .. } => {
                "this certificate is not accepted for this domain".to_owned()
            }
            Self::Missing
            | Self::SelfSigned
            | Self::Untrusted { .. }
            | Self::NameMismatch { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::Invalid { .. } => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialback::KeyInquiry;
    use crate::direction::Direction;
    use crate::reason::{
        AgainstExternal, ConnectReason, NoDialback, NoExternal, NoMethod, Records, SetBy, Setting,
    };
    use crate::stream::PeerRules;
    use crate::stream::redirect::Redirect;
    use crds::backend::BackendAuthentication;
    use crds::effective::effective;
    use crds::peer::{Dialback, PeerSettings, Profile};
    use crds::xmpp::SaslCondition;

    /// Details of this side, as they occur in the texts for local administrators.
    const SECRETS: [&str; 9] = [
        "10.43.7.9",
        "5269",
        "15269",
        "10.96.0.10",
        "im.svc",
        "egress",
        "allowNetworks",
        "spec.",
        "`",
    ];

    /// The failures that our settings cause, with the settings.
    fn forbidden() -> Vec<(Failure, Vec<&'static str>)> {
        let rules = |profile| {
            let settings = PeerSettings::<()> { profile: Some(profile), ..PeerSettings::default() };
            effective(&settings, None).rules
        };
        let (standards, strict) = (rules(Profile::Standards), rules(Profile::Strict));
        let cisco = rules(Profile::CiscoExpressway);
        let mut all = vec![(NoMethod::TlsDisabled.into(), vec!["tls.mode"])];
        for (rules, by, named) in [
            (
                strict,
                SetBy::Peer(Profile::Strict),
                "`peers[].authentication.dialback` is Disabled (from profile Strict)",
            ),
            (
                PeerRules { dialback: Dialback::Disabled, ..standards },
                SetBy::Peer(Profile::Standards),
                "`peers[].authentication.dialback` is Disabled (from its entry of `peers` or from `peerDefaults`)",
            ),
            (
                strict,
                SetBy::Backend(BackendAuthentication::Minted),
                "`backends[].server.authentication` is Minted",
            ),
        ] {
            let setting = Setting::against_dialback(rules, by).unwrap();
            let method = |external| NoMethod::Neither(external, NoDialback::Forbidden(setting));
            let external = [NoExternal::NotEncrypted, NoExternal::NotOffered];
            all.extend(external.map(|external| (method(external).into(), vec![named])));
            let rejected = Failure::ExternalRejected {
                condition: SaslCondition::NotAuthorized,
                text: SaslCondition::NotAuthorized.to_string(),
                forbidden: Some(setting),
            };
            all.push((rejected, vec![named]));
        }
        for (rules, by, named) in [
            (
                PeerRules { external_outbound: false, ..standards },
                SetBy::Peer(Profile::Standards),
                vec![
                    "`peers[].authentication.external.outbound` is false (from its entry of `peers` or from `peerDefaults`)",
                ],
            ),
            (
                cisco,
                SetBy::Peer(Profile::CiscoExpressway),
                vec![
                    "`peers[].authentication.external.outbound` is false (from profile CiscoExpressway)",
                    "`peers[].authentication.dialback` is Required (from profile CiscoExpressway)",
                ],
            ),
            (
                cisco,
                SetBy::Backend(BackendAuthentication::Dialback),
                vec!["`backends[].server.authentication` is Dialback"],
            ),
        ] {
            let settings = AgainstExternal::of(rules, by, Direction::Outbound);
            let external = NoExternal::Forbidden(settings);
            all.push((NoMethod::Neither(external, NoDialback::NotKnown).into(), named));
        }
        all
    }

    /// Every reason, with details of this side wherever it can contain any.
    fn all() -> Vec<Failure> {
        let address = || "10.43.7.9:15269".parse().unwrap();
        let name = || "im.svc.cluster.local".to_owned();
        let guarded = ConnectReason::AddressNotAllowed {
            address: "10.43.7.9".parse().unwrap(),
            kind: "a private address",
        };
        let words = || "10.96.0.10 and 10.43.7.9:5269 of im.svc say `no`".to_owned();
        let certificates = [
            CertificateReason::Missing,
            CertificateReason::SelfSigned,
            CertificateReason::Untrusted { issuer: words() },
            CertificateReason::NameMismatch { found: vec![name()] },
            CertificateReason::Expired { not_after: words() },
            CertificateReason::NotYetValid { not_before: words() },
            CertificateReason::PinMismatch,
            CertificateReason::DaneMismatch { owner: "_5269._tcp.im.svc".to_owned() },
            CertificateReason::Invalid { detail: words() },
        ];
        let mut all = vec![
            Failure::BlockedByLocalPolicy,
            DnsReason::DomainNotFound { name: name() }.into(),
            DnsReason::NoAddress { name: name() }.into(),
            DnsReason::ServiceDisabled { name: name() }.into(),
            DnsReason::ResolverUnavailable { name: name(), detail: words() }.into(),
            DnsReason::Bogus { name: name(), records: Records::Service }.into(),
            Failure::Connect(vec![
                (address(), ConnectReason::Refused),
                (address(), ConnectReason::TimedOut),
                (address(), ConnectReason::NoRoute),
                (address(), guarded.clone()),
                (address(), ConnectReason::Other { detail: words() }),
            ]),
            Failure::Guard(guarded),
            Failure::StartTlsNotOffered,
            Failure::StartTlsRefused,
            Failure::Handshake(words()),
            Failure::StreamError { condition: words().as_str().into(), text: words() },
            Failure::SeeOtherHost(Redirect::read("10.43.7.9:5269")),
            Failure::NotXmpp(words()),
            Failure::ExternalRejected {
                condition: words().as_str().into(),
                text: words(),
                forbidden: None,
            },
            Failure::DialbackInvalid(KeyInquiry::NotSeen),
            Failure::DialbackError { condition: words().as_str().into(), text: words() },
            Failure::DialbackTimedOut,
            Failure::NegotiationTimedOut("10.43.7.9"),
            Failure::ConnectionLost("10.43.7.9"),
            Failure::NoBackend,
            Failure::ComponentNotConnected,
            Failure::ShuttingDown,
        ];
        all.extend(forbidden().into_iter().map(|(failure, _)| failure));
        all.extend(certificates.iter().cloned().map(Failure::CertificateRequired));
        all.extend(certificates.into_iter().map(Failure::Certificate));
        all
    }

    #[test]
    fn what_strangers_are_notified_names_nothing_of_our_inside() {
        for failure in all() {
            for text in [failure.remote_text().to_owned(), failure.stanza_error_outside().text] {
                assert!(!text.is_empty(), "{failure}");
                for secret in SECRETS {
                    assert!(!text.contains(secret), "{secret} in {text:?}: {failure}");
                }
            }
        }
    }

    #[test]
    fn our_people_are_notified_which_setting_it_is() {
        for (failure, settings) in forbidden() {
            let text = failure.to_string();
            for setting in settings {
                assert_eq!(text.matches(setting).count(), 1, "{setting} in {text}");
            }
        }
    }

    #[test]
    fn our_people_are_notified_the_true_cause() {
        for failure in all() {
            assert_eq!(failure.stanza_error().text, failure.to_string());
            let outside = failure.stanza_error_outside();
            assert_eq!(outside.condition, failure.stanza_error().condition, "{failure}");
        }
    }

    #[test]
    fn a_peer_is_notified_what_its_own_certificate_lacks_but_not_what_is_expected_here() {
        let dane = CertificateReason::DaneMismatch { owner: "_5269._tcp.im.svc".to_owned() };
        for reason in [CertificateReason::PinMismatch, dane] {
            assert!(
                !reason.remote_text().contains("pin") && !reason.remote_text().contains("5269")
            );
        }
        let found = vec!["other.example".to_owned()];
        assert!(CertificateReason::NameMismatch { found }.remote_text().contains("other.example"));
    }
}
