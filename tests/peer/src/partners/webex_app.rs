//! Today's Webex App: as the Messenger on the wire, with less inside.

use super::wire::Wire;

/// TLS only where the other side takes it without authentication ([S-12]).
pub const WIRE: Wire = super::webex_messenger::WIRE;

/// Its people look away to everybody outside, whatever they do ([S-12]).
pub const SHOW: &str = "away";
