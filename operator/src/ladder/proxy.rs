//! Connections that the engine refused for the header of the PROXY protocol. Anyone can cause some of them, so they
//! explain a state but never change a verdict.

use std::net::IpAddr;

use crds::word::Word;
use federation_engine::observe::evidence::InboundRefusal;
use jiff::SignedDuration;

use super::View;

/// Age up to which a refusal explains the current state. Load balancers check the health of the engine more often.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// What is wrong with the PROXY protocol, and which setting corrects it. The sources are the proxy's own addresses. The
/// lowest one stays the same when connections come from several.
pub fn advice(view: View<'_>) -> Option<String> {
    const SETTING: &str = "spec.service.proxyProtocol.trustedSources";
    let trusted = &view.federation.spec.service.proxy_protocol;
    let is_recent = |refusal: &&InboundRefusal| view.seen.now.duration_since(refusal.at) < RECENT;
    let all = || view.reports().flat_map(|seen| &seen.refusals).filter(is_recent);
    let lowest = |reason: &Word, is_trusted: bool| -> Option<IpAddr> {
        let sources =
            all().filter(|refusal| refusal.reason == *reason).map(|refusal| refusal.source);
        // A refusal from before a change of the setting explains nothing.
        sources.filter(|source| trusted.trusts(*source) == is_trusted).min()
    };
    if let Some(source) = lowest(&Word::ProxyHeaderMissing, true) {
        return Some(format!(
            "Connections from {source}, which is in {SETTING}, have no PROXY protocol header. Enable the PROXY protocol on the load balancer, or remove its network from {SETTING}."
        ));
    }
    if let Some(source) = lowest(&Word::ProxyHeaderInvalid, true) {
        return Some(format!(
            "Connections from {source}, which is in {SETTING}, have a PROXY protocol header that the engine cannot read. See the engine's log for the fault."
        ));
    }
    let source = lowest(&Word::ProxyHeaderUntrusted, false)?;
    Some(format!(
        "Connections from {source} have a PROXY protocol header, but {SETTING} does not contain that address. Add the network of the load balancer, or disable the PROXY protocol there."
    ))
}
