//! Stream errors (RFC 6120 §4.9): the ones we send, and reading the ones that peers send.

use std::fmt;

use crate::xml::XmlError;

/// A defined condition (RFC 6120 §4.9.3), as far as the engine sends it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StreamCondition {
    /// §4.9.3.2.
    BadNamespacePrefix,
    /// §4.9.3.4.
    ConnectionTimeout,
    /// §4.9.3.6.
    HostUnknown,
    /// §4.9.3.7.
    ImproperAddressing,
    /// §4.9.3.9.
    InvalidFrom,
    /// §4.9.3.10.
    InvalidNamespace,
    /// §4.9.3.12.
    NotAuthorized,
    /// §4.9.3.13.
    NotWellFormed,
    /// §4.9.3.14.
    PolicyViolation,
    /// §4.9.3.16.
    Reset,
    /// §4.9.3.17.
    ResourceConstraint,
    /// §4.9.3.18.
    RestrictedXml,
    /// §4.9.3.20.
    SystemShutdown,
    /// §4.9.3.22.
    UnsupportedEncoding,
    /// §4.9.3.24.
    UnsupportedStanzaType,
    /// §4.9.3.25.
    UnsupportedVersion,
}

impl StreamCondition {
    /// Name of the element.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadNamespacePrefix => "bad-namespace-prefix",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostUnknown => "host-unknown",
            Self::ImproperAddressing => "improper-addressing",
            Self::InvalidFrom => "invalid-from",
            Self::InvalidNamespace => "invalid-namespace",
            Self::NotAuthorized => "not-authorized",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation => "policy-violation",
            Self::Reset => "reset",
            Self::ResourceConstraint => "resource-constraint",
            Self::RestrictedXml => "restricted-xml",
            Self::SystemShutdown => "system-shutdown",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::UnsupportedStanzaType => "unsupported-stanza-type",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }
}

impl fmt::Display for StreamCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stream error to send: it ends the stream.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{condition}: {text}")]
pub struct StreamError {
    /// The defined condition.
    pub condition: StreamCondition,
    /// For the people at the other end; may be empty. Names nothing of our inside.
    pub text: String,
}

impl StreamError {
    /// An error with an explanation.
    pub fn new(condition: StreamCondition, text: impl Into<String>) -> Self {
        Self { condition, text: text.into() }
    }
}

impl From<XmlError> for StreamError {
    fn from(error: XmlError) -> Self {
        let condition = match error {
            XmlError::NotWellFormed(_) => StreamCondition::NotWellFormed,
            XmlError::Restricted(_) => StreamCondition::RestrictedXml,
            XmlError::UnsupportedEncoding => StreamCondition::UnsupportedEncoding,
            XmlError::Exceeded(_) => StreamCondition::PolicyViolation,
        };
        Self::new(condition, error.to_string())
    }
}
