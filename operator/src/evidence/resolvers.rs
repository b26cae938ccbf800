//! Selects the recursive resolvers that represent the public view of DNS.

use std::net::SocketAddr;

use crate::federation::validated::Validated;

/// Largest number of resolvers to query.
const MAX: usize = 4;

/// The resolvers that the spec names, or those of the operator's own pod. Without any, there are no answers, and the
/// verdicts report it.
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
            tracing::warn!(%error, "cannot read the DNS resolvers of the operator's pod");
            Vec::new()
        }
    }
}
