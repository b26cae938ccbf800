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
