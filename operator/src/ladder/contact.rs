//! How far a backend came that accepted a ping, and whose answer did not come back: what the engine's DNS server and its
//! listener for backends have seen of it.

use federation_engine::observe::evidence::{BackendContact, BackendRoundTrip, ContactKind};
use jiff::SignedDuration;

use super::View;
use crate::build::ports;
use crate::federation::names;

/// Age of a contact that still says something about a ping. A backend connects anew for each ping, keeps an answer of the DNS
/// server for 30 s, and replicas may report a repetition a minute later.
const RECENT: SignedDuration = SignedDuration::from_mins(2);

/// What is wrong and what to do, as sentences.
pub(super) fn advice(view: View<'_>, trip: &BackendRoundTrip) -> String {
    let (ca, dns) = (names::backend_ca(&view.federation.name), dns_server(view));
    let Some(BackendContact { kind, source, detail, .. }) = furthest(view, trip) else {
        return format!(
            "The engine's DNS server has received no query about it. The backend must use DNS server {dns}; status.backends shows how."
        );
    };
    match kind {
        ContactKind::QueryRefused => format!(
            "The engine's DNS server refused a query from {source}, which is not in spec.dns.clients. Add its network there if it is the backend; otherwise, the backend must use DNS server {dns}."
        ),
        ContactKind::QueryAnswered => format!(
            "The engine's DNS server told {source} where the engine is, but no stream followed. Check that no NetworkPolicy or firewall blocks connections from the backend to {dns}, port {}.",
            ports::S2S
        ),
        ContactKind::StreamRefused => format!(
            "A stream from {source} failed: {}. If this is about certificates, the backend must trust key ca.crt of ConfigMap {ca}. Restart a server that has read an earlier version of it.",
            detail.trim_end_matches('.')
        ),
    }
}

/// The DNS server that backends must use.
pub(super) fn dns_server(view: View<'_>) -> String {
    let name = || names::backend_service(&view.federation.name);
    view.seen.cluster.backend_ip.map_or_else(name, |ip| ip.to_string())
}

/// The last step of the backend on its way since it answered last.
fn furthest<'a>(view: View<'a>, trip: &BackendRoundTrip) -> Option<&'a BackendContact> {
    let answered = view.seen.backend_answered.get(&trip.domain);
    let is_of_trip = |contact: &&BackendContact| {
        contact.domain.as_ref().is_none_or(|domain| *domain == trip.domain)
            && trip.at.duration_since(contact.at) < RECENT
            && answered.is_none_or(|answered| contact.at > *answered)
    };
    let contacts = view.reports().flat_map(|evidence| &evidence.contacts);
    contacts.filter(is_of_trip).max_by_key(|contact| (contact.kind, contact.at))
}
