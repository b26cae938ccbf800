//! The streams of scripted senders.

use std::net::SocketAddr;

use s2s_peer::authority::Authority;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::stream::Stream;

use super::error::{BenchError, Result};
use super::subject::MAX_SILENCE;

/// Opens a stream over TLS with SASL EXTERNAL. `what` names it if that fails.
pub(crate) fn open(
    what: &'static str,
    address: SocketAddr,
    from: &str,
    to: &str,
    authority: &Authority,
) -> Result<Stream> {
    let failed = || BenchError::peer(what);
    let initiator = Initiator {
        address,
        from,
        to,
        identity: Some(&authority.issue(&[from]).map_err(failed())?),
        roots: &authority.roots().map_err(failed())?,
        security: Security::StartTls,
        timeout: MAX_SILENCE,
    };
    initiator.external().map_err(failed())
}
