//! The current Webex App: the same as the Messenger on the wire, with fewer functions inside.

use super::wire::Wire;

/// TLS only if the other side accepts it without authentication ([S-12]).
pub const WIRE: Wire = super::webex_messenger::WIRE;

/// External contacts always see its users as away, whatever the users do ([S-12]).
pub const SHOW: &str = "away";
