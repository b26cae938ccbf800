//! The namespaces that this crate distinguishes.

/// A namespace name, distinguished as far as the engine acts on it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Namespace {
    /// No namespace.
    #[default]
    None,
    /// `http://etherx.jabber.org/streams` (RFC 6120 §4.8.1).
    Stream,
    /// `jabber:server` (RFC 6120 §4.8.2).
    Server,
    /// `jabber:client`; not the content namespace of a stream between servers.
    Client,
    /// `jabber:component:accept` (XEP-0114 §3): the content namespace of a stream with a component.
    ComponentAccept,
    /// `jabber:server:dialback` (XEP-0220 §2).
    Dialback,
    /// `urn:xmpp:features:dialback` (XEP-0220 §2.4.2).
    DialbackFeature,
    /// `urn:ietf:params:xml:ns:xmpp-tls` (RFC 6120 §5).
    Tls,
    /// `urn:ietf:params:xml:ns:xmpp-sasl` (RFC 6120 §6).
    Sasl,
    /// `urn:ietf:params:xml:ns:xmpp-streams` (RFC 6120 §4.9.2).
    StreamError,
    /// `urn:ietf:params:xml:ns:xmpp-stanzas` (RFC 6120 §8.3.2).
    StanzaError,
    /// `urn:xmpp:ping` (XEP-0199).
    Ping,
    /// `http://jabber.org/protocol/disco#info` (XEP-0030).
    DiscoInfo,
    /// `jabber:iq:version` (XEP-0092).
    Version,
    /// `http://jabber.org/protocol/disco#items` (XEP-0030).
    DiscoItems,
    /// `urn:xmpp:stream-limits:0` (XEP-0478).
    StreamLimits,
    /// `urn:xmpp:features:bidi` (XEP-0288 §2.1).
    BidiFeature,
    /// `urn:xmpp:bidi` (XEP-0288 §2.2).
    Bidi,
    /// `urn:xmpp:sm:3` (XEP-0198).
    StreamManagement,
    /// `http://www.w3.org/XML/1998/namespace`.
    Xml,
    /// `http://www.w3.org/2000/xmlns/`.
    Xmlns,
    /// Any other.
    Other,
}

const TABLE: [(&str, Namespace); 21] = [
    ("", Namespace::None),
    ("http://etherx.jabber.org/streams", Namespace::Stream),
    ("jabber:server", Namespace::Server),
    ("jabber:client", Namespace::Client),
    ("jabber:component:accept", Namespace::ComponentAccept),
    ("jabber:server:dialback", Namespace::Dialback),
    ("urn:xmpp:features:dialback", Namespace::DialbackFeature),
    ("urn:ietf:params:xml:ns:xmpp-tls", Namespace::Tls),
    ("urn:ietf:params:xml:ns:xmpp-sasl", Namespace::Sasl),
    ("urn:ietf:params:xml:ns:xmpp-streams", Namespace::StreamError),
    ("urn:ietf:params:xml:ns:xmpp-stanzas", Namespace::StanzaError),
    ("urn:xmpp:ping", Namespace::Ping),
    ("http://jabber.org/protocol/disco#info", Namespace::DiscoInfo),
    ("jabber:iq:version", Namespace::Version),
    ("http://jabber.org/protocol/disco#items", Namespace::DiscoItems),
    ("urn:xmpp:stream-limits:0", Namespace::StreamLimits),
    ("urn:xmpp:features:bidi", Namespace::BidiFeature),
    ("urn:xmpp:bidi", Namespace::Bidi),
    ("urn:xmpp:sm:3", Namespace::StreamManagement),
    ("http://www.w3.org/XML/1998/namespace", Namespace::Xml),
    ("http://www.w3.org/2000/xmlns/", Namespace::Xmlns),
];

impl Namespace {
    /// Compares as Namespaces in XML §2.3 does: character by character.
    pub fn of(uri: &str) -> Self {
        TABLE
            .iter()
            .find(|(known, _)| *known == uri)
            .map_or(Self::Other, |(_, namespace)| *namespace)
    }

    /// The namespace name; empty for [`Self::None`] and [`Self::Other`].
    pub(crate) fn uri(self) -> &'static str {
        TABLE.iter().find(|(_, known)| *known == self).map_or("", |(uri, _)| *uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_namespace_is_named_by_exactly_its_uri() {
        for (uri, namespace) in TABLE {
            assert_eq!(Namespace::of(uri), namespace);
            assert_eq!(namespace.uri(), uri);
        }
        assert_eq!(Namespace::of("jabber:server "), Namespace::Other);
        assert_eq!(Namespace::of("JABBER:SERVER"), Namespace::Other);
    }
}
