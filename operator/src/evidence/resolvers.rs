//! Which recursive resolvers stand for the public view.

use std::net::SocketAddr;

use crate::federation::validated::Validated;

/// Resolvers that are asked at most.
const MAX: usize = 4;

/// Those that the spec names, else those of the operator's own pod. An operator without any gets no answers, and the
/// verdicts say so.
pub fn of(federation: &Validated) -> Vec<SocketAddr> {
    let named = &federation.spec.dns.resolvers;
    if !named.is_empty() {
        return named.iter().map(|resolver| resolver.0).take(MAX).collect();
    }
    match hickory_resolver::system_conf::read_system_conf() {
        Ok((config, _)) => config
            .name_servers()
            .iter()
            .map(|server| SocketAddr::new(server.ip, 53))
            .take(MAX)
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "cannot read the resolvers of the operator's pod");
            Vec::new()
        }
    }
}
