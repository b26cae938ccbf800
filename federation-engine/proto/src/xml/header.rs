//! The opening tag of a stream, as the scanner parsed it; the stream machines interpret it.

use super::namespace::Namespace;

/// Attributes of the opening tag (RFC 6120 §4.7), decoded, none of them trusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderAttributes {
    /// Namespace of the root element; must be [`Namespace::Stream`].
    pub namespace: Namespace,
    /// Local name of the root element; must be `stream`.
    pub local: String,
    /// Prefix of the root element, usually `stream`; empty when the stream namespace is the default one.
    pub prefix: String,
    /// The default namespace, which is the content namespace (RFC 6120 §4.8.2).
    pub content: Namespace,
    /// A prefix is bound to `jabber:server:dialback` (XEP-0220 §2.4.1).
    pub declares_dialback: bool,
    /// `from`.
    pub from: Option<String>,
    /// `to`.
    pub to: Option<String>,
    /// `id`.
    pub id: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `xml:lang`.
    pub lang: Option<String>,
}
