//! The namespaces in which servers negotiate.

/// Content namespace between servers (RFC 6120 §4.8.2).
pub const SERVER: &str = "jabber:server";
/// Content namespace between client and server (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// Content namespace between component and server (XEP-0114 §3).
pub const COMPONENT: &str = "jabber:component:accept";
/// The stream element and its features and errors (RFC 6120 §4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Conditions of stream errors (RFC 6120 §4.9.2).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// STARTTLS (RFC 6120 §5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Resource binding (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Conditions of stanza errors (RFC 6120 §8.3.3).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Server Dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// A request for a bidirectional stream (XEP-0288 §2.2).
pub const BIDI: &str = "urn:xmpp:bidi";
/// Stream Management (XEP-0198).
pub const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// The stream feature of Server Dialback (XEP-0220 §2.3).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
