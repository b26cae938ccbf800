//! How the engine and an XMPP server behind it authenticate each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Authentication between the engine and a backend that speaks the server-to-server protocol.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum BackendAuthentication {
    /// SASL EXTERNAL: the engine presents a certificate minted for the remote domain, signed by the backend CA.
    #[default]
    Minted,
    /// Dialback over TLS; the engine answers verification requests for every remote domain.
    Dialback,
    /// Dialback without TLS, for servers that support nothing else.
    PlainDialback,
}

/// Port of server-to-server streams (RFC 6120 §14.9).
pub const S2S_PORT: u16 = 5269;

/// A known XMPP server. The name that it reports for itself decides.
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum ServerSoftware {
    /// Prosody, and Snikket, which is built on it.
    Prosody,
    /// ejabberd.
    Ejabberd,
    /// jabberd2.
    Jabberd2,
    /// Openfire.
    Openfire,
    /// Tigase.
    Tigase,
    /// `MongooseIM`.
    #[serde(rename = "MongooseIM")]
    MongooseIm,
    /// Cisco IM and Presence.
    #[serde(rename = "CiscoIMP")]
    CiscoImp,
    /// A server with another name.
    #[serde(other)]
    Other,
}

/// Parts of the names that servers report, in lower case. The first one that a name contains decides: the name of
/// ejabberd contains that of jabberd2.
const NAMES: [(&str, ServerSoftware); 9] = [
    ("prosody", ServerSoftware::Prosody),
    ("snikket", ServerSoftware::Prosody),
    ("ejabberd", ServerSoftware::Ejabberd),
    ("mongooseim", ServerSoftware::MongooseIm),
    ("jabberd", ServerSoftware::Jabberd2),
    ("openfire", ServerSoftware::Openfire),
    ("tigase", ServerSoftware::Tigase),
    ("cisco", ServerSoftware::CiscoImp),
    ("jabber xcp", ServerSoftware::CiscoImp),
];

impl ServerSoftware {
    /// The server that reports this name.
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let known = NAMES.iter().find(|(part, _)| name.contains(part));
        known.map_or(Self::Other, |(_, software)| *software)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_the_name_that_it_reports() {
        for (name, software) in [
            ("Prosody", ServerSoftware::Prosody),
            ("Snikket Server", ServerSoftware::Prosody),
            ("ejabberd", ServerSoftware::Ejabberd),
            ("jabberd2", ServerSoftware::Jabberd2),
            ("jabberd", ServerSoftware::Jabberd2),
            ("Openfire", ServerSoftware::Openfire),
            ("Tigase", ServerSoftware::Tigase),
            ("MongooseIM", ServerSoftware::MongooseIm),
            ("Cisco IM and Presence", ServerSoftware::CiscoImp),
            ("Cisco Jabber XCP", ServerSoftware::CiscoImp),
            ("Metronome", ServerSoftware::Other),
            ("", ServerSoftware::Other),
        ] {
            assert_eq!(ServerSoftware::of(name), software, "{name:?}");
        }
    }
}
