//! Keeps the status small: the API server refuses objects over 1.5 MiB, and every write of a status is sent to every watch.
//! Pure.

use crds::XmppFederationStatus;

/// Most bytes of a status.
pub const MAX_STATUS_BYTES: usize = 256 * 1024;
/// Characters of a peer's message after the first step.
const SHORT_MESSAGE: usize = 160;

/// Shortens what is least needed until the status fits: first the messages of peers, then the lines for the zone, which
/// `.status.dnsRecords` has as well, and at last the peers themselves, of which the failing ones stay.
pub(super) fn bounded(mut status: XmppFederationStatus) -> XmppFederationStatus {
    let fits = |status: &XmppFederationStatus| {
        serde_json::to_vec(status).is_ok_and(|bytes| bytes.len() <= MAX_STATUS_BYTES)
    };
    if fits(&status) {
        return status;
    }
    for message in status.peers.iter_mut().filter_map(|peer| peer.message.as_mut()) {
        if let Some((end, _)) = message.char_indices().nth(SHORT_MESSAGE) {
            message.truncate(end);
            message.push_str("...");
        }
    }
    if fits(&status) {
        return status;
    }
    status.zone_snippet = None;
    while !fits(&status) && !status.peers.is_empty() {
        status.peers.sort_by_key(|peer| peer.message.is_none());
        status.peers.truncate(status.peers.len() / 2);
        if let Some(summary) = &mut status.peer_summary {
            summary.truncated = true;
        }
    }
    status
}
