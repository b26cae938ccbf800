//! XMPP's own error conditions: of streams (RFC 6120 §4.9.3), stanzas (§8.3.3) and SASL (§6.5).

use std::fmt;

use crate::named::named;

named! {
    /// A stream error condition (RFC 6120 §4.9.3), with those of RFC 3920 that servers still send.
    StreamCondition {
        /// §4.9.3.1.
        BadFormat = "bad-format",
        /// §4.9.3.2.
        BadNamespacePrefix = "bad-namespace-prefix",
        /// §4.9.3.3.
        Conflict = "conflict",
        /// §4.9.3.4.
        ConnectionTimeout = "connection-timeout",
        /// §4.9.3.5.
        HostGone = "host-gone",
        /// §4.9.3.6.
        HostUnknown = "host-unknown",
        /// §4.9.3.7.
        ImproperAddressing = "improper-addressing",
        /// §4.9.3.8.
        InternalServerError = "internal-server-error",
        /// §4.9.3.9.
        InvalidFrom = "invalid-from",
        /// RFC 3920 §4.7.3.
        InvalidId = "invalid-id",
        /// §4.9.3.10.
        InvalidNamespace = "invalid-namespace",
        /// §4.9.3.11.
        InvalidXml = "invalid-xml",
        /// §4.9.3.12.
        NotAuthorized = "not-authorized",
        /// §4.9.3.13.
        NotWellFormed = "not-well-formed",
        /// §4.9.3.14.
        PolicyViolation = "policy-violation",
        /// §4.9.3.15.
        RemoteConnectionFailed = "remote-connection-failed",
        /// §4.9.3.16.
        Reset = "reset",
        /// §4.9.3.17.
        ResourceConstraint = "resource-constraint",
        /// §4.9.3.18.
        RestrictedXml = "restricted-xml",
        /// §4.9.3.19.
        SeeOtherHost = "see-other-host",
        /// §4.9.3.20.
        SystemShutdown = "system-shutdown",
        /// §4.9.3.21.
        UndefinedCondition = "undefined-condition",
        /// §4.9.3.22.
        UnsupportedEncoding = "unsupported-encoding",
        /// §4.9.3.23.
        UnsupportedFeature = "unsupported-feature",
        /// §4.9.3.24.
        UnsupportedStanzaType = "unsupported-stanza-type",
        /// §4.9.3.25.
        UnsupportedVersion = "unsupported-version",
        /// RFC 3920 §4.7.3.
        XmlNotWellFormed = "xml-not-well-formed",
    }
}

named! {
    /// A stanza error condition (RFC 6120 §8.3.3), with the stream condition that XEP-0220 §2.5 uses in answers to dialback.
    StanzaCondition {
        /// §8.3.3.1.
        BadRequest = "bad-request",
        /// §8.3.3.2.
        Conflict = "conflict",
        /// §8.3.3.3.
        FeatureNotImplemented = "feature-not-implemented",
        /// §8.3.3.4.
        Forbidden = "forbidden",
        /// §8.3.3.5.
        Gone = "gone",
        /// §8.3.3.6.
        InternalServerError = "internal-server-error",
        /// §8.3.3.7.
        ItemNotFound = "item-not-found",
        /// §8.3.3.8.
        JidMalformed = "jid-malformed",
        /// §8.3.3.9.
        NotAcceptable = "not-acceptable",
        /// §8.3.3.10.
        NotAllowed = "not-allowed",
        /// §8.3.3.11.
        NotAuthorized = "not-authorized",
        /// §8.3.3.12.
        PolicyViolation = "policy-violation",
        /// §8.3.3.13.
        RecipientUnavailable = "recipient-unavailable",
        /// §8.3.3.14.
        Redirect = "redirect",
        /// §8.3.3.15.
        RegistrationRequired = "registration-required",
        /// XEP-0220 §2.5.
        RemoteConnectionFailed = "remote-connection-failed",
        /// §8.3.3.16.
        RemoteServerNotFound = "remote-server-not-found",
        /// §8.3.3.17.
        RemoteServerTimeout = "remote-server-timeout",
        /// §8.3.3.18.
        ResourceConstraint = "resource-constraint",
        /// §8.3.3.19.
        ServiceUnavailable = "service-unavailable",
        /// §8.3.3.20.
        SubscriptionRequired = "subscription-required",
        /// §8.3.3.21.
        UndefinedCondition = "undefined-condition",
        /// §8.3.3.22.
        UnexpectedRequest = "unexpected-request",
    }
}

named! {
    /// A SASL failure condition (RFC 6120 §6.5).
    SaslCondition {
        /// §6.5.1.
        Aborted = "aborted",
        /// §6.5.2.
        AccountDisabled = "account-disabled",
        /// §6.5.3.
        CredentialsExpired = "credentials-expired",
        /// §6.5.4.
        EncryptionRequired = "encryption-required",
        /// §6.5.5.
        IncorrectEncoding = "incorrect-encoding",
        /// §6.5.6.
        InvalidAuthzid = "invalid-authzid",
        /// §6.5.7.
        InvalidMechanism = "invalid-mechanism",
        /// §6.5.8.
        MalformedRequest = "malformed-request",
        /// §6.5.9.
        MechanismTooWeak = "mechanism-too-weak",
        /// §6.5.10.
        NotAuthorized = "not-authorized",
        /// §6.5.11.
        TemporaryAuthFailure = "temporary-auth-failure",
    }
}

/// `type` of a stanza error (RFC 6120 §8.3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorType {
    /// Retrying after authentication may help.
    Auth,
    /// Retrying cannot help.
    Cancel,
    /// Retrying with other data may help.
    Modify,
    /// Retrying later may help.
    Wait,
}

impl ErrorType {
    /// The value of the attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StanzaCondition {
    /// The type that RFC 6120 §8.3.3 states for the condition, the first where it allows several; `Cancel` for
    /// conditions that it does not define.
    pub const fn default_type(&self) -> ErrorType {
        match self {
            Self::Forbidden
            | Self::NotAuthorized
            | Self::RegistrationRequired
            | Self::SubscriptionRequired => ErrorType::Auth,
            Self::BadRequest
            | Self::JidMalformed
            | Self::NotAcceptable
            | Self::PolicyViolation
            | Self::Redirect => ErrorType::Modify,
            Self::RecipientUnavailable
            | Self::RemoteServerTimeout
            | Self::ResourceConstraint
            | Self::UnexpectedRequest => ErrorType::Wait,
            Self::Conflict
            | Self::FeatureNotImplemented
            | Self::Gone
            | Self::InternalServerError
            | Self::ItemNotFound
            | Self::NotAllowed
            | Self::RemoteConnectionFailed
            | Self::RemoteServerNotFound
            | Self::ServiceUnavailable
            | Self::UndefinedCondition
            | Self::Other(_) => ErrorType::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_the_names_of_elements() {
        let streams = StreamCondition::ALL.iter().map(StreamCondition::as_str);
        let stanzas = StanzaCondition::ALL.iter().map(StanzaCondition::as_str);
        let sasl = SaslCondition::ALL.iter().map(SaslCondition::as_str);
        for name in streams.chain(stanzas).chain(sasl) {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
        }
        assert_eq!(StreamCondition::from("host-unknown"), StreamCondition::HostUnknown);
        let other = StreamCondition::from("made-up");
        assert_eq!((other.as_str(), other.known()), ("made-up", None));
    }

    #[test]
    fn rfc6120_8_3_3_default_types() {
        assert_eq!(StanzaCondition::JidMalformed.default_type(), ErrorType::Modify);
        assert_eq!(StanzaCondition::RemoteServerTimeout.default_type(), ErrorType::Wait);
        assert_eq!(StanzaCondition::ServiceUnavailable.default_type(), ErrorType::Cancel);
        assert_eq!(StanzaCondition::Forbidden.default_type(), ErrorType::Auth);
    }
}
